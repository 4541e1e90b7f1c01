"""Of which limits a worker looks at the ready runs, if there are more than one look can take."""

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import groupby
from operator import attrgetter

from taskworks.options.policy import LANES
from taskworks.store import Store
from taskworks.store.limited_names import FIRST_NAME, MAX_NAMES, LimitedName
from taskworks.store.limiting import Line
from taskworks.worker.claiming.turn import Turn

MAX_LINES = 20  # of which a part consists


class LimitParts:
    """A turn over all limits that have ready runs, part by part; see ``Turn``."""

    def __init__(self, store: Store, backend: str) -> None:
        self._store, self._backend = store, backend
        self._turn = Turn[LimitedName]()
        self._is_tried = True  # whether there was a claim from the current part
        # The names found in this turn and in the last one, which are likely to be found again.
        self._found = set[LimitedName]()
        self._found_before = set[LimitedName]()
        # The limits of the current part all of whose ready runs are for one executor here.
        self.of_one_executor: frozenset[str] = frozenset()

    def read(self, takes: Callable[[str], bool]) -> list[Line]:
        """
        Return what the worker may claim from in queues that it ``takes``: of the next part, or of
        the same one again if nothing was claimed from it.
        """
        turn, is_next = self._turn, self._is_tried
        if is_next and turn.goes_on_after is None:
            self._found_before, self._found = self._found, set()
        after = turn.goes_on_after if is_next else turn.began_after
        known = self._found_before | self._found
        names = self._store.limited_names(after or FIRST_NAME, MAX_NAMES, known)
        part, goes_on_after = part_of(names)
        self._found.update(part)
        if is_next:
            turn.go_on(goes_on_after)
        else:
            turn.goes_on_after = goes_on_after
        self._is_tried = False
        self.of_one_executor = self._limits_of_one_executor(part, takes)
        return [*self._lines_of(part, takes)]

    @property
    def are_one(self) -> bool:
        """True if the current part is all there is."""
        return self._turn.is_whole

    def note_claim(self, asked: Collection[str], empty: Collection[str]) -> None:
        """Note the executors that a claim asked for, and those of which this part had no more."""
        self._is_tried = True
        self._turn.note_claim(asked, empty)

    def may_have_more(self, executors: Collection[str]) -> bool:
        """Return whether other parts may have runs of one of these executors."""
        return self._turn.may_have_more(executors)

    def note_news(self) -> None:
        """Note that there may be runs to claim in any part."""
        self._turn.note_news()

    def start_over(self) -> None:
        """Go on with the first part, as if none was known."""
        self._is_tried = True
        self._turn.note_news()
        self._turn.start_over()

    def _lines_of(
        self, names: Iterable[LimitedName], takes: Callable[[str], bool]
    ) -> Iterable[Line]:
        queues: dict[tuple[str, str], list[str]] = {}
        for name in names:
            # Somebody may have written another executor.
            if self._is_ours(name, takes) and name.executor in LANES:
                queues.setdefault((name.limit, name.executor), []).append(name.queue)
        for (limit, executor), names_of_queues in queues.items():
            some = random.sample(names_of_queues, min(len(names_of_queues), self._store.max_queues))
            yield Line(limit, self._backend, tuple(some), executor)

    def _limits_of_one_executor(
        self, names: Iterable[LimitedName], takes: Callable[[str], bool]
    ) -> frozenset[str]:
        found = defaultdict[str, set[str | None]](set)
        for name in names:
            found[name.limit].add(name.executor if self._is_ours(name, takes) else None)
        return frozenset(limit for limit, one in found.items() if len(one) == 1 and None not in one)

    def _is_ours(self, name: LimitedName, takes: Callable[[str], bool]) -> bool:
        return name.backend == self._backend and takes(name.queue)


def part_of(names: Sequence[LimitedName]) -> tuple[Sequence[LimitedName], LimitedName | None]:
    """
    Return the first of these names, which a look has found: those of entire limits, with up to
    ``MAX_LINES`` lines; and the name after which the next part begins, None if these are all.
    """
    are_all = len(names) < MAX_NAMES
    limits = [[*group] for _, group in groupby(names, key=attrgetter("limit"))]
    if not are_all and len(limits) > 1:
        limits.pop()  # it may have more names
    part, lines = list[LimitedName](), 0
    for of_limit in limits:
        lines += len({(name.backend, name.executor) for name in of_limit})
        if part and lines > MAX_LINES:
            return part, part[-1]
        part += of_limit
    return part, None if are_all else part[-1]
