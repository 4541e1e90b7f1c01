"""Prune: delete runs that ended long ago."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from django.db import Error as DatabaseError
from django.db import InternalError, OperationalError

from taskworks import real_time as time
from taskworks.models import Workflow
from taskworks.options.retention import Rule
from taskworks.store import Store
from taskworks.store.pruning import Aged

MAX_CHUNK, MIN_CHUNK = 1000, 10  # rows that one statement may delete
SLOW_STATEMENT = 1.0  # seconds
LOOK_BACK_INTERVAL = timedelta(hours=1).total_seconds()  # between two looks at what was kept


def prunable(store: Store, rules: Iterable[Rule]) -> int:
    """Return how many runs ``prune`` would delete now."""
    rules = [*rules]
    of_workflows = [rule for rule in rules if rule.queue is None]
    return sum(store.prunable(rule).count() for rule in rules) + sum(
        store.prunable_members(rule) for rule in of_workflows
    )


def prune(store: Store, rules: Sequence[Rule]) -> int:
    """
    Delete the runs that are too old, in chunks, so that no statement locks many rows; return how
    many. A chunk that the database refuses because it took too long is tried again with fewer rows.
    """
    sweep = Sweep(store, rules)
    while sweep.has_more:
        was_least = sweep.chunk.is_least
        try:
            sweep.step()
        except (OperationalError, InternalError):  # the latter if it was silent for too long
            if was_least:
                raise
    return sweep.pruned


class Sweep:
    """
    Goes through the runs that are too old by some rules, from the oldest on, one chunk per step;
    then through the workflows that are.

    Runs that it meets and does not delete, because they are kept or locked, it skips for an hour:
    so runs that are kept forever do not cost a look each time.
    """

    def __init__(self, store: Store, rules: Sequence[Rule]) -> None:
        self._store, self._rules = store, rules
        self.chunk = Chunk(MAX_CHUNK)
        self.pruned = 0
        self._seen: dict[Rule, Aged] = {}
        self._seen_workflows: dict[Rule, Workflow | None] = {}
        self._plan()
        self._looks_back_at = time.monotonic() + LOOK_BACK_INTERVAL

    @property
    def has_more(self) -> bool:
        """True until it has gone through all rules."""
        return bool(self._to_do or self._workflows_to_do)

    def begin(self) -> None:
        """Go through all rules again, for what has become too old since."""
        if time.monotonic() >= self._looks_back_at:
            self._seen.clear()
            self._seen_workflows.clear()
            self._looks_back_at = time.monotonic() + LOOK_BACK_INTERVAL
        self._plan()

    def _plan(self) -> None:
        self._to_do = list(self._rules)
        # A workflow has members in several queues, and goes by the rule of all others.
        self._workflows_to_do = [rule for rule in self._rules if rule.queue is None]

    def step(self) -> None:
        """Delete what is too old in the next chunk."""
        if self._to_do:
            self._prune_runs(self._to_do[0])
        elif self._workflows_to_do:
            self._prune_workflow(self._workflows_to_do[0])

    def _prune_runs(self, rule: Rule) -> None:
        with self.chunk.measured() as size:
            met = self._store.aged(rule, self._seen.get(rule), size)
            old = [one.id for one in met if rule.holds_in(one.backend, one.queue_name)]
            self.pruned += self._store.prune(rule, old) if old else 0
        if met:
            self._seen[rule] = met[-1]
        if len(met) < size:
            self._to_do.pop(0)

    def _prune_workflow(self, rule: Rule) -> None:
        seen = self._seen_workflows.get(rule)
        with self.chunk.measured() as size:
            pruned = self._store.prune_workflow(rule, seen, size)
        self.pruned += pruned.runs
        if pruned.is_last:
            self._workflows_to_do.pop(0)
        else:
            self._seen_workflows[rule] = pruned.last


class Chunk:
    """
    How many rows one statement may delete. A statement that is slow, or that the database refuses,
    makes it a tenth; a quick one doubles it.
    """

    def __init__(self, most: int = MAX_CHUNK) -> None:
        self._most = self.size = most

    @property
    def is_least(self) -> bool:
        """True if there is no smaller size to try."""
        return self.size <= MIN_CHUNK

    @contextmanager
    def measured(self) -> Iterator[int]:
        """Give the block a size, and set the next one by how the block's statement went."""
        began = time.monotonic()
        try:
            yield self.size
        except DatabaseError:
            self._shrink()
            raise
        took = time.monotonic() - began
        if took > SLOW_STATEMENT:
            self._shrink()
        elif took < SLOW_STATEMENT / 4:
            self.size = min(self.size * 2, self._most)

    def _shrink(self) -> None:
        self.size = min(self.size, max(self.size // 10, MIN_CHUNK))
