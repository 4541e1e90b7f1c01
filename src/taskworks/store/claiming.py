"""Promote and claim runs."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from taskworks.database.clock import DatabaseClock
from taskworks.models import RunState, TaskRun
from taskworks.store.base import Base

Place = tuple[int, datetime, UUID]  # rank, available_at, id: the order of claims
Places = Mapping[tuple[str, str], Place]  # by queue and executor
NO_PLACES: Places = {}


class Outlook(NamedTuple):
    """What there is to claim, and when there will be more."""

    queues: list[str]  # with a ready run
    due_in: float  # seconds until the next scheduled run is due, below 0 if one is


class Lane(NamedTuple):
    """The ready runs of a queue and an executor, and how many of them may be claimed."""

    queue_name: str
    executor: str
    room: int
    after: Place | None = None  # where to begin, on databases with uses_cursors


class Claiming(Base):
    """Promote runs, find out what is ready, and claim it."""

    uses_cursors = False  # whether claims are cheaper if they begin at a place

    def promote(self, limit: int) -> int:
        """Make up to ``limit`` due scheduled runs ready, behind the ready ones; return how many."""
        due = self.runs.scheduled().filter(available_at__lte=DatabaseClock())
        promoted = self._update_some(
            due.order_by("available_at", "id"),
            limit,
            state=RunState.READY,
            available_at=DatabaseClock(),
        )
        return self._notify_if_any(promoted)

    def ready_queues(self, backend: str) -> list[str]:
        """Return the queues that have a ready run; costs one index probe per queue."""
        return [name for name, _ in self._fetch(self._ready_queues(), [backend, backend])]

    def outlook(self, backend: str) -> Outlook:
        """Return the queues that have a ready run, and when the next scheduled one is due."""
        due_in, clock = self._due_in()
        statement = f"""
            {self._ready_queues()}
            UNION ALL
            SELECT NULL, {due_in} FROM {self._quoted(TaskRun)}
            WHERE state = 'scheduled'"""  # noqa: S608 - a table's name and our own expression
        rows = self._fetch(statement, [backend, backend, *clock])
        queues = [name for name, _ in rows if name is not None]
        [seconds] = [seconds for name, seconds in rows if name is None]
        return Outlook(queues, math.inf if seconds is None else float(seconds))

    def claim(
        self,
        worker: UUID,
        backend: str,
        queues: Sequence[str],
        room: Mapping[str, int],
        limit: int | None = None,
        *,
        places: Places = NO_PLACES,
    ) -> list[TaskRun]:
        """
        Take ready runs for a worker that is not given up, in the order of claims (rank,
        available_at, id): as many per executor as there is ``room`` for, at most ``limit`` in all.
        All runs of one claim share one new token. ``places`` say where to begin in each lane;
        runs before them are not seen. Databases without ``uses_cursors`` ignore them.
        """
        lanes = [
            Lane(queue, executor, free, places.get((queue, executor)))
            for queue in queues
            for executor, free in room.items()
            if free > 0
        ]
        if not lanes:
            return []
        most = sum(room.values())
        return self._claim(worker, backend, lanes, most if limit is None else min(limit, most))

    @abstractmethod
    def _claim(
        self, worker: UUID, backend: str, lanes: Sequence[Lane], limit: int
    ) -> list[TaskRun]:
        """
        Claim from these lanes, at most ``limit`` runs in all; see ``claim``. No other statement
        claims.
        """

    def _ready_queues(self) -> str:
        ready = f"FROM {self._quoted(TaskRun)} WHERE state = 'ready' AND backend = %s"
        return f"""
            WITH RECURSIVE queue (name) AS (
                SELECT MIN(queue_name) {ready}
                UNION ALL
                SELECT (SELECT MIN(queue_name) {ready} AND queue_name > queue.name)
                FROM queue WHERE queue.name IS NOT NULL
            )
            SELECT name, NULL FROM queue WHERE name IS NOT NULL"""  # noqa: S608 - a table's name

    @abstractmethod
    def _due_in(self) -> tuple[str, Sequence[Any]]:
        """Return SQL for the seconds until the first available_at, and its parameters."""
