"""Transactional tasks of which nobody heard whether their COMMIT was made."""

import time

from taskworks.execution import Attempt, Committed, InDoubt, Outcome
from taskworks.models import TaskRun
from taskworks.store import Store

LOOK_EVERY = 0.2  # seconds


class Doubts:
    """Settled by reading the runs: as soon as the database answers, and such a COMMIT is over."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open: dict[Attempt, Outcome] = {}
        self._next_look = 0.0

    def __contains__(self, attempt: Attempt) -> bool:
        return attempt in self._open

    def add(self, attempt: Attempt, doubt: InDoubt) -> None:
        """Have this doubt settled."""
        self._open[attempt] = doubt.otherwise

    def settled(self) -> list[tuple[Attempt, Outcome]]:
        """What is known by now."""
        if not self._open or time.monotonic() < self._next_look:
            return []
        known = self._store.committed([attempt.run for attempt in self._open])
        self._next_look = time.monotonic() + LOOK_EVERY
        return [
            (attempt, _outcome(known[attempt.run.id], self._open.pop(attempt)))
            for attempt in [*self._open]
            if attempt.run.id in known
        ]


def _outcome(row: TaskRun | None, otherwise: Outcome) -> Outcome:
    if row is None or row.finished_at is None:
        return otherwise
    return Committed(row.return_value, row.finished_at)
