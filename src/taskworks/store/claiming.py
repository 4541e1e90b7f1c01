"""Promote and claim runs."""

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from taskworks.database.clock import DatabaseClock
from taskworks.models import Pause, RunState, TaskRun
from taskworks.store.base import Base
from taskworks.store.paused import NOTHING, Paused

Place = tuple[int, datetime, UUID]  # rank, available_at, id: the order of claims
Places = Mapping[tuple[str, str], Place]  # by queue and executor
NO_PLACES: Places = {}


class Outlook(NamedTuple):
    """What there is to claim, and when there will be more."""

    queues: list[str]  # with a ready run, in the order of their names, without those paused
    due_in: float  # seconds until the next scheduled run is due, below 0 if one is
    paused: Paused = NOTHING
    resumes_in: float = math.inf  # seconds until the first of these pauses ends by itself
    goes_on_after: str | None = None  # a queue's name, if there may be more ready ones after it
    has_limited: bool = False  # whether runs with a limit are ready, of any backend


class Lane(NamedTuple):
    """The ready runs of a queue and an executor, and how many of them may be claimed."""

    queue_name: str
    executor: str
    room: int
    after: Place | None = None  # where to begin, on databases with uses_cursors


class Claiming(Base):
    """Promote runs, find out what is ready, and claim it."""

    uses_cursors = False  # whether claims are cheaper if they begin at a place
    max_queues = 1000  # that a worker looks at, and claims from, at once

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

    def ready_queues(
        self, backend: str, after: str | None = None, limit: int | None = None
    ) -> list[str]:
        """
        Return the queues that have a ready run without a limit, in the order of their names: up to
        ``limit`` of them, ``after`` this name. Costs one index probe per queue.
        """
        return [name for _, name, *_ in self._fetch(*self._ready_queues(backend, after, limit))]

    def outlooks(self, backend: str) -> Iterator[Outlook]:
        """Yield the outlook on ``max_queues`` queues at a time, until it was on every one."""
        outlook = self.outlook(backend, None, self.max_queues)
        yield outlook
        while outlook.goes_on_after is not None:
            outlook = self.outlook(backend, outlook.goes_on_after, self.max_queues)
            yield outlook

    def outlook(self, backend: str, after: str | None = None, limit: int | None = None) -> Outlook:
        """
        Return the ``ready_queues`` that are not paused, and when the next scheduled run is due;
        which queues are paused, and when the first of these is not any more.
        """
        ready, ready_parameters = self._ready_queues(backend, after, limit)
        due_in, clock = self._seconds_until("MIN(available_at)")
        pauses, pause_parameters = self._pauses_of(backend)
        runs = self._quoted(TaskRun)
        statement = f"""
            {ready}
            UNION ALL
            SELECT 'paused', {pauses}
            UNION ALL
            SELECT 'due', NULL, {due_in}, NULL, NULL, NULL FROM {runs} WHERE state = 'scheduled'
            UNION ALL
            SELECT 'limited', MIN(limit_name), NULL, NULL, NULL, NULL FROM {runs}
            WHERE state = 'ready' AND {self._limited}"""  # noqa: S608 - names, our expressions
        rows = self._fetch(statement, [*ready_parameters, *pause_parameters, *clock])
        queues = [name for what, name, *_ in rows if what == "ready"]
        [due_in] = [seconds for what, _, seconds, *_ in rows if what == "due"]
        [limited] = [name for what, name, *_ in rows if what == "limited"]
        paused = [row[1:] for row in rows if row[0] == "paused"]
        return outlook_of(backend, queues, limit, due_in, paused, has_limited=limited is not None)

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
        Take ready runs without a limit for a worker that is not given up, in the order of claims
        (rank, available_at, id): as many per executor as there is ``room`` for, at most ``limit``
        in all. All runs of one claim share one new token. ``places`` say where to begin in each
        lane; runs before them are not seen. Databases without ``uses_cursors`` ignore them.
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

    def _ready_queues(
        self, backend: str, after: str | None, limit: int | None
    ) -> tuple[str, list[Any]]:
        """Return SQL for the ``ready_queues``, and its parameters."""
        ready = f"FROM {self._quoted(TaskRun)} WHERE state = 'ready' AND {self._unlimited}"
        ready = f"{ready} AND backend = %s"
        first, begins = ("", []) if after is None else ("AND queue_name > %s", [after])
        last, ends = ("", []) if limit is None else ("AND queue.place < %s", [limit])
        statement = f"""
            WITH RECURSIVE queue (name, place) AS (
                SELECT MIN(queue_name), 1 {ready} {first}
                UNION ALL
                SELECT (SELECT MIN(queue_name) {ready} AND queue_name > queue.name), place + 1
                FROM queue WHERE queue.name IS NOT NULL {last}
            )
            SELECT 'ready', name, NULL, NULL, NULL, NULL
            FROM queue WHERE name IS NOT NULL"""  # noqa: S608 - a table's name
        return statement, [backend, *begins, backend, *ends]

    def _pauses_of(self, backend: str) -> tuple[str, Sequence[Any]]:
        """
        Return SQL that follows SELECT, for the pauses that concern a backend: the name of what is
        paused, the seconds until the end, the kind, the key and the id; and its parameters. It
        includes pauses that have ended.
        """
        quote = self.connection.ops.quote_name
        until, clock = self._seconds_until(quote("until"))
        return (
            f"name, {until}, kind, {quote('key')}, id FROM {self._quoted(Pause)} "
            "WHERE backend IN (%s, '')",
            [*clock, backend],
        )

    @abstractmethod
    def _seconds_until(self, moment: str) -> tuple[str, Sequence[Any]]:
        """
        Return SQL for the seconds until a moment, which is SQL too, and its parameters. It is NULL
        if the moment is.
        """


def outlook_of(
    backend: str,
    ready: Sequence[str],
    limit: int | None,
    due_in: Any,
    pauses: Iterable[tuple[Any, ...]],
    *,
    has_limited: bool,
) -> Outlook:
    """Return the outlook of these answers, at most ``limit`` ready queues and seconds or None."""
    in_force = [(name, _seconds(left), *what) for name, left, *what in pauses]
    in_force = [row for row in in_force if row[1] > 0]
    paused = Paused.of_rows(backend, in_force)
    return Outlook(
        [name for name in ready if not paused.has_queue(backend, name)],
        _seconds(due_in),
        paused,
        min((seconds for _, seconds, *_ in in_force), default=math.inf),
        ready[-1] if len(ready) == limit else None,
        has_limited,
    )


def _seconds(given: Any) -> float:
    return math.inf if given is None else float(given)
