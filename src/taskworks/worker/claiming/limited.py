"""Which runs with a limit a worker may claim, and for which executors it is their turn."""

import math
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from uuid import UUID

from taskworks import real_time as time
from taskworks.database.outage import GrowingPause
from taskworks.execution import Attempt
from taskworks.models import TaskRun
from taskworks.options.policy import LANES
from taskworks.recording.events import Subscriber
from taskworks.store import Store
from taskworks.store.limited_names import FIRST_NAME, MAX_NAMES, LimitedName
from taskworks.store.limiting import LimitedClaim, Line
from taskworks.store.paused import Paused
from taskworks.worker.claiming.openings import Openings
from taskworks.worker.claiming.poll_schedule import LOOK_AGAIN_AFTER
from taskworks.worker.claiming.turn import Turn
from taskworks.worker.pools.pool import AHEAD_WITHIN

NEWS_LAST = 2 * LOOK_AGAIN_AFTER  # seconds after news for which each look is a survey
SURVEY_INTERVAL = 0.15  # seconds between two looks at which limits have ready runs, without news
MAX_LINES = 20  # from which one turn of the worker claims; of more than these, it takes a part
# Seconds until another claim from a limit from which another session claims.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.005, 0.1


class LimitedRuns:
    """
    Claims ready runs that have a limit, limit by limit, and of many limits part by part. They are
    never claimed ahead, because a claimed run takes a slot of its limit.
    """

    def __init__(self, store: Store, backend: str) -> None:
        self._store, self._backend = store, backend
        self._turn = Turn[LimitedName]()
        self._lines: list[Line] = []  # of the current part of the turn
        self._is_part_tried = True
        self._held_up: list[Line] = []  # from which another session claimed at our last try
        # The names found in this turn and in the last one, which are likely to be found again.
        self._found = set[LimitedName]()
        self._found_before = set[LimitedName]()
        self._next_survey = self._news_until = 0.0
        # Executors for which the last claim found as many as it asked for, or has not yet asked.
        self.wanted: frozenset[str] = frozenset()
        self.may_have_more = False  # whether the last claim may have missed some
        self._pause = GrowingPause(SHORTEST_PAUSE, LONGEST_PAUSE)
        self.seconds = 0.0  # until the next claim, if it has
        self._openings = Openings()
        self._without_slots: set[str] = set()  # limits

    def survey(self, takes: Callable[[str], bool], *, has_limited: bool, paused: Paused) -> None:
        """
        Find out which limits have ready runs in queues that the worker ``takes``, and are not
        ``paused``.
        """
        now = time.monotonic()
        if not has_limited:
            self._lines, self._held_up, self.wanted = [], [], frozenset()
            self._openings.clear()
            self.may_have_more, self.seconds = False, 0.0
            self.start_over()
        elif now >= self._next_survey or now < self._news_until:
            self._read_part(takes, paused)
            self._next_survey = time.monotonic() + SURVEY_INTERVAL
            self._want_all()

    def note_news(self) -> None:
        """
        Note that there may be new runs, of any limit, and that more may come in a moment: of many
        notifications that are alike, only the first is sent.
        """
        self._next_survey = 0.0
        self._news_until = time.monotonic() + NEWS_LAST
        self._turn.note_news()

    def start_over(self) -> None:
        """Go on with the first limit: each of them may have runs that can be claimed now."""
        self._next_survey, self._is_part_tried = 0.0, True
        self._turn.note_news()
        self._turn.start_over()

    def note_free_slot(self) -> None:
        """Note that any of the runs that are known of may be claimed now."""
        self._turn.note_news()
        self._want_all()

    def _want_all(self) -> None:
        of_lines = (line.executor for line in self._lines)
        self.wanted = frozenset(of_lines if self._turn.is_whole else LANES)

    @property
    def must_survey(self) -> bool:
        """True if only another part may have runs that can be claimed now."""
        return self._next_survey == 0.0 and self.may_have_more

    def has_slots(self, limit: str) -> bool:
        """Return whether a run of a limit that has ended may make room for another one."""
        return limit not in self._without_slots

    @property
    def opens_in(self) -> float:
        """Seconds until a rate or a hold allows more; infinite if nobody waits for one."""
        return self._openings.seconds

    @property
    def opens_soon(self) -> bool:
        """True if that is worth waiting for."""
        return self._openings.are_soon

    def take_openings(self) -> bool:
        """Return whether there may be more since the last call."""
        return self._openings.take()

    def claim(
        self, worker: UUID, room: Mapping[str, int], most: int, paused: Paused
    ) -> list[TaskRun]:
        """Claim as many as there is ``room`` for, at most ``most``, of what is not ``paused``."""
        has_more, held_up = False, list[Line]()
        left, runs = dict(room), list[TaskRun]()
        for line in self._lines_to_try:
            number = min(left.get(line.executor, 0), most - len(runs))
            unpaused = line.without(paused) if paused else line
            if number > 0 and unpaused.queues:
                claimed = self._claim_from(worker, unpaused, number)
                left[line.executor] -= len(claimed.runs)
                runs += claimed.runs
                if claimed.may_have_more and not claimed.runs:
                    held_up.append(line)
                else:
                    has_more |= claimed.may_have_more
            elif line in self._held_up and unpaused.queues:
                held_up.append(line)
        self._lines = self._lines[1:] + self._lines[:1]  # another limit is first next time
        self._held_up = held_up
        short = {executor for executor, free in left.items() if free > 0}
        self._note_claim(room, set() if has_more else short)
        has_more |= self._turn.may_have_more(short)
        is_held_up = any(line.executor in short for line in held_up)
        self._note_pause(is_held_up and not has_more and not runs)
        self.may_have_more = has_more or is_held_up
        if not self.may_have_more:
            self.wanted -= short
        return runs

    @property
    def _lines_to_try(self) -> list[Line]:
        """The lines of the current part, and those of others that were held up."""
        return [*self._lines, *(line for line in self._held_up if line not in self._lines)]

    def _claim_from(self, worker: UUID, line: Line, number: int) -> LimitedClaim:
        began = time.monotonic()
        claimed = self._store.claim_limited(worker, line, number)
        self._openings.note(line, claimed, time.monotonic() - began)
        self._note_whether_it_has_slots(line.limit, claimed.counts_slots)
        return claimed

    def _note_whether_it_has_slots(self, limit: str, counts_slots: bool | None) -> None:
        if counts_slots:
            self._without_slots.discard(limit)
        elif counts_slots is not None:
            self._without_slots.add(limit)

    def _note_claim(self, asked: Collection[str], empty: Collection[str]) -> None:
        """Note what the current part had no more of; if anything, the next one follows."""
        self._is_part_tried = True
        self._turn.note_claim(asked, empty)
        if self._turn.may_have_more(empty):
            self._next_survey = 0.0

    def _note_pause(self, is_only_held_up: bool) -> None:
        """Pause before the next claim if others are claiming from all that there may be."""
        if is_only_held_up:
            self.seconds = self._pause.take()
            return
        self.seconds = 0.0
        if not self._held_up:
            self._pause.reset()

    def _read_part(self, takes: Callable[[str], bool], paused: Paused) -> None:
        """Read the next part of the turn, or the same one again if nothing was claimed from it."""
        turn, is_next = self._turn, self._is_part_tried
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
        self._is_part_tried = False
        lines = self._lines_of(part, takes)
        self._lines = [line for line in lines if not paused.has_limit(line.limit)]

    def _lines_of(
        self, names: Iterable[LimitedName], takes: Callable[[str], bool]
    ) -> Iterable[Line]:
        queues: dict[tuple[str, str], list[str]] = {}
        for name in names:
            is_ours = name.backend == self._backend and takes(name.queue)
            if is_ours and name.executor in LANES:  # somebody may have written another one
                queues.setdefault((name.limit, name.executor), []).append(name.queue)
        for (limit, executor), names_of_queues in queues.items():
            some = random.sample(names_of_queues, min(len(names_of_queues), self._store.max_queues))
            yield Line(limit, self._backend, tuple(some), executor)


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


class Alternation:
    """
    For which executors runs with a limit are claimed first, and for which the others. What is
    claimed ahead takes the slots that become free, so both kinds take turns: the others once, ahead
    too; then those with a limit, as slots become free, until they have had as many runs, or as much
    time as what is claimed ahead should take. In its turn, each leaves to the other what it does
    not take.
    """

    def __init__(self) -> None:
        self._left: dict[str, int] = {}  # runs with a limit until their turn is as long
        self._ends_at: dict[str, float] = {}  # the turn of those with a limit

    def limited_first(self, executors: Iterable[str]) -> frozenset[str]:
        """Return those of these executors for which it is the turn of runs with a limit."""
        now = time.monotonic()
        return frozenset(name for name in executors if now < self._ends_at.get(name, -math.inf))

    def note_others(self, executors: Iterable[str], claimed: Iterable[TaskRun]) -> None:
        """Note that the others had their turn."""
        found = Counter(run.executor for run in claimed)
        for name in executors:
            self._left[name], self._ends_at[name] = found[name], math.inf

    def note_limited(self, executors: Iterable[str], claimed: Iterable[TaskRun]) -> None:
        """Note that those with a limit were claimed, in their turn."""
        found = Counter(run.executor for run in claimed)
        ends_at = time.monotonic() + AHEAD_WITHIN
        for name in executors:
            self._left[name] = self._left.get(name, 0) - found[name]
            is_over = self._left[name] <= 0
            self._ends_at[name] = -math.inf if is_over else min(self._ends_at[name], ends_at)


class FreedSlots(Subscriber):
    """
    Notes that this worker has given back a slot of a limit, and tells the others. ``has_slots``
    says whether a limit has any.
    """

    def __init__(self, store: Store, has_slots: Callable[[str], bool] = lambda limit: True) -> None:
        self._store, self._has_slots = store, has_slots
        self._has_freed = False

    def recorded(self, attempts: Iterable[Attempt]) -> None:
        limits = {attempt.run.limit_name for attempt in attempts}
        if any(limit is not None and self._has_slots(limit) for limit in limits):
            self._has_freed = True
            self._store.notify_workers()

    def take(self) -> bool:
        """Return whether a slot became free since the last call."""
        has_freed, self._has_freed = self._has_freed, False
        return has_freed
