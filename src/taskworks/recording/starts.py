"""Starts that are to be known before the first line of the task runs."""

import time
from collections import Counter
from collections.abc import Callable, Container, Iterable
from uuid import UUID

from taskworks.execution import Attempt, Fenced, Outcome
from taskworks.store import Store
from taskworks.worker.pools import Pools, lane_of


class Starts:
    """
    Holds attempts back until their starts are written, many at once: only then they are submitted.
    One whose start could not be written is another worker's, and is not executed.
    """

    def __init__(
        self,
        store: Store,
        pools: Pools,
        end: Callable[[Attempt, Outcome], None],
        locked: Container[UUID] = (),
    ) -> None:
        """``locked`` are runs that cannot be written now."""
        self._store, self._pools, self._end, self._locked = store, pools, end, locked
        self._waiting: list[Attempt] = []

    def hold(self, attempts: list[Attempt]) -> None:
        """Submit them once their starts are written."""
        self._pools.reserve(attempts)
        self._waiting += attempts

    def write(self) -> None:
        """Write what is to be written; what fails is done again with the next call."""
        if not self._waiting or not (due := self._due()):
            return
        for attempt in due:
            attempt.count()
        written = self._store.start([attempt.run for attempt in due])
        self._forget(due)
        for attempt in due:
            attempt.start_written = True
            if attempt.run.id not in written:
                self._end(attempt, Fenced())
        self._pools.submit([attempt for attempt in due if attempt.run.id in written])

    def withdraw(self, longer_than: float) -> list[Attempt]:
        """Take back what has waited for so many seconds since its claim."""
        claimed_before = time.monotonic() - longer_than
        withdrawn = [attempt for attempt in self._waiting if attempt.claimed <= claimed_before]
        self._forget(withdrawn)
        return withdrawn

    def _due(self) -> list[Attempt]:
        """
        All, but of those that may be executed once only as many as there are places: until its
        start is written, such a run comes back when this worker dies.
        """
        free = Counter(self._pools.free)
        due = []
        for attempt in self._waiting:
            if attempt.run.id in self._locked:
                continue
            line = lane_of(attempt)
            if free[line] > 0 or not attempt.run.at_most_once:
                free[line] -= 1
                due.append(attempt)
        return due

    def _forget(self, attempts: Iterable[Attempt]) -> None:
        gone = list(attempts)
        self._pools.cancel_reservation(gone)
        self._waiting = [attempt for attempt in self._waiting if attempt not in gone]
