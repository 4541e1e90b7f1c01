"""Runs on PostgreSQL: claim and write many in one statement each."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import models

from taskworks.conf import conf
from taskworks.database import prepared
from taskworks.database.clock import DatabaseClock
from taskworks.database.listener import Listener
from taskworks.database.payloads import CHANNEL
from taskworks.models import TaskRun, Worker
from taskworks.store.base import MAX_LOCK_WAIT
from taskworks.store.claiming import Lane
from taskworks.store.limiting import Line, Share
from taskworks.store.new_runs import NewRuns
from taskworks.store.statements import Change, Convert, Field, Rows
from taskworks.store.verbs import Store

LOCK_NOT_AVAILABLE = "55P03"
MILLISECOND = timedelta(milliseconds=1)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_EXACT = 2**52  # microseconds that a float of seconds still represents exactly: until 2112
FIRST_PLACE = (-(2**15), "-infinity", UUID(int=0))  # before every place in a lane
# An expression, so that no plan reads every run in hand by its index to find a few known ids.
STATE_WITHOUT_INDEX = "run.state || ''"


class PostgreSQLRows(Rows):
    """Values of columns in the forms that PostgreSQL and its drivers convert fastest."""

    insert_as = "AS run"

    def _expression(self, field: Field) -> str:
        # Read timestamps as integers: drivers convert them ten times faster.
        if isinstance(field, models.DateTimeField) and settings.USE_TZ:
            return f"(EXTRACT(EPOCH FROM run.{field.attname}) * 1000000)::bigint"
        return f"run.{super()._expression(field)}"

    def _reader(self, field: Field) -> Convert | None:
        if isinstance(field, models.DateTimeField) and settings.USE_TZ:
            return _moment
        return super()._reader(field)

    def writer(self, column: str) -> Convert:
        # Forms that JSON has, and that PostgreSQL reads.
        match TaskRun._meta.get_field(column):
            case models.DateTimeField():
                return datetime.isoformat
            case models.UUIDField():
                return str
        return super().writer(column)

    def _moments_written(self, values: Iterable[datetime | None]) -> list[str | None]:
        return [None if at is None else at.isoformat() for at in values]


class PostgreSQLStore(Store):
    """A store on PostgreSQL, which notifies workers, and where claims begin at a cursor."""

    rows_class = PostgreSQLRows
    can_notify = True
    uses_cursors = True
    shared_lock = "FOR SHARE"

    def _is_read_committed(self) -> bool:
        # A transaction of our own is made so, see _limit_transaction.
        return self.connection.get_autocommit() or self._has_level_read_committed

    @property
    def _has_level_read_committed(self) -> bool:
        from django.db.backends.postgresql.psycopg_any import IsolationLevel

        connection: Any = self.connection
        return bool(connection.isolation_level == IsolationLevel.READ_COMMITTED)

    def notify(self, payload: str, channel: str | None = None) -> None:
        # A transaction that notifies is flushed to disk like any other.
        setting_first = self._no_flush and f"{self._no_flush}, "
        self._fetch(f"SELECT {setting_first}PG_NOTIFY(%s, %s)", [channel or CHANNEL, payload])

    @property
    def _no_flush(self) -> str:
        """SQL by which a commit does not wait for the disk, unless it is the caller's."""
        is_ours = self.connection.get_autocommit()
        return "SET_CONFIG('synchronous_commit', 'off', TRUE)" if is_ours else ""

    def listener(self) -> Listener | None:
        return Listener(self.connection) if conf().notify else None

    def _limit_transaction(self, silence: timedelta, wait: timedelta | None) -> None:
        if not self._has_level_read_committed:  # the project's; what follows a lock must see more
            with self.connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        # For this transaction only: behind a pooler, others use the session as well.
        limits = {"idle_in_transaction_session_timeout": silence}
        if wait is not None:
            limits["lock_timeout"] = wait
        settings = ", ".join(["SET_CONFIG(%s, %s, TRUE)"] * len(limits))
        milliseconds = {name: longest // MILLISECOND for name, longest in limits.items()}
        self._fetch(
            f"SELECT {settings}", [str(one) for pair in milliseconds.items() for one in pair]
        )

    def _seconds_until(self, moment: str) -> tuple[str, Sequence[Any]]:
        clock, offset = DatabaseClock().as_postgresql(None, self.connection)
        # Not of the difference: a moment may be infinite.
        return f"EXTRACT(EPOCH FROM {moment}) - EXTRACT(EPOCH FROM {clock})", offset

    # One read per lane, or the planner may sort everything ready.

    def _claim(
        self, worker: UUID, backend: str, lanes: Sequence[Lane], limit: int
    ) -> list[TaskRun]:
        head = f"""
            SELECT tid FROM (
                SELECT ready.*, lane.room, ROW_NUMBER() OVER (
                    PARTITION BY lane.executor
                    ORDER BY ready.rank, ready.available_at, ready.id
                ) AS place
                FROM UNNEST(
                    %(queues)s::text[], %(executors)s::text[], %(rooms)s::int[],
                    %(ranks)s::smallint[], %(moments)s::timestamptz[], %(ids)s::uuid[]
                ) AS lane (queue_name, executor, room, rank, available_at, id)
                CROSS JOIN LATERAL (
                    SELECT ctid AS tid, rank, available_at, id FROM {self._quoted(TaskRun)}
                    WHERE state = 'ready' AND lane IS NULL AND backend = %(backend)s
                        AND queue_name = lane.queue_name AND executor = lane.executor
                        AND (rank, available_at, id) >= (lane.rank, lane.available_at, lane.id)
                    ORDER BY rank, available_at, id LIMIT lane.room
                    FOR UPDATE SKIP LOCKED
                ) AS ready
            ) AS first
            WHERE place <= room
            ORDER BY rank, available_at, id LIMIT %(limit)s"""  # noqa: S608 - a table's name
        ranks, moments, ids = zip(*(lane.after or FIRST_PLACE for lane in lanes), strict=True)
        parameters = {
            "backend": backend,
            "queues": [lane.queue_name for lane in lanes],
            "executors": [lane.executor for lane in lanes],
            "rooms": [lane.room for lane in lanes],
            "ranks": [*ranks],
            "moments": [str(moment) for moment in moments],
            "ids": [*ids],
            "limit": limit,
        }
        claim = {"claimed_by": worker, "claim_token": uuid4()}
        # If the server crashes before it has stored a claim, the runs are ready again: they may be
        # executed twice, as after any crash. What is more than that waits for the disk: the start
        # of a run at most once, and a claim that counts for a limit.
        columns = self.rows.columns()
        rows = self._hand_over(claim, head, parameters, columns, is_flushed=False)
        return self.rows.claimed(rows, **claim)

    def _take(self, worker: UUID, line: Line, shares: Sequence[Share]) -> list[TaskRun]:
        head = f"""
            SELECT first.tid
            FROM UNNEST(%(lanes)s::text[], %(numbers)s::int[]) AS share (lane, number)
            CROSS JOIN LATERAL (
                SELECT ready.tid FROM UNNEST(%(queues)s::text[]) AS queue (name)
                CROSS JOIN LATERAL (
                    SELECT ctid AS tid, rank, available_at, id FROM {self._quoted(TaskRun)}
                    WHERE state = 'ready' AND lane IS NOT NULL
                        AND limit_name = %(limit)s AND backend = %(backend)s
                        AND queue_name = queue.name AND executor = %(executor)s
                        AND lane = share.lane
                    ORDER BY rank, available_at, id LIMIT share.number
                    FOR UPDATE SKIP LOCKED
                ) AS ready
                ORDER BY rank, available_at, id LIMIT share.number
            ) AS first"""  # noqa: S608 - a table's name
        parameters = {
            "lanes": [share.lane for share in shares],
            "numbers": [share.number for share in shares],
            "queues": [*line.queues],
            "limit": line.limit,
            "backend": line.backend,
            "executor": line.executor,
        }
        claim = {"claimed_by": worker, "claim_token": uuid4()}
        rows = self._hand_over(claim, head, parameters, self.rows.columns_of_limited())
        return self.rows.claimed_limited(rows, limit_name=line.limit, **claim)

    def _hand_over(
        self,
        claim: Mapping[str, UUID],
        head: str,
        parameters: Mapping[str, Any],
        columns: str,
        *,
        is_flushed: bool = True,
    ) -> list[tuple[Any, ...]]:
        """Give the locked runs that ``head`` selects to a worker; none if it was given up."""
        no_flush = "" if is_flushed else self._no_flush
        and_no_flush = f"AND {no_flush} > ''" if no_flush else ""
        clock, moved = DatabaseClock().as_postgresql(None, self.connection)
        # Materialized, or the planner may execute the locking read more than once. Locked rows do
        # not move, so they are updated by ctid, which saves a descent of the primary key.
        statement = f"""
            WITH head AS MATERIALIZED ({head})
            UPDATE {self._quoted(TaskRun)} AS run
            SET state = 'claimed', claimed_by = %(claimed_by)s, claim_token = %(claim_token)s,
                claimed_at = {clock.replace("%s", "%(moved)s")}
            FROM head
            WHERE run.ctid = head.tid AND EXISTS (
                SELECT 1 FROM {self._quoted(Worker)}
                WHERE id = %(claimed_by)s AND given_up_at IS NULL {and_no_flush}
            )
            RETURNING {columns}"""  # noqa: S608 - only names are put in
        moved_by = dict(zip(["moved"], moved, strict=False))
        parameters = {**parameters, **claim, **moved_by}
        return prepared.fetch_planned_anew(self.connection, statement, parameters)

    def _apply(self, change: Change) -> set[UUID]:
        # One JSON document, because Python writes it three times as fast as arrays.
        columns = ", ".join(f"{name} {self.rows.type_of(name)}" for name in change.own)
        statement = f"""
            UPDATE {self._quoted(TaskRun)} AS run SET {change.assignments()}
            FROM {self._lock_timeout}JSON_TO_RECORDSET(%s::json) AS new ({columns})
            WHERE run.id = new.id AND {change.condition(STATE_WITHOUT_INDEX)}
            RETURNING run.id"""  # noqa: S608 - only names and types of columns are put in
        rows = json.dumps([dict(zip(change.own, row, strict=True)) for row in change.rows])
        written = prepared.fetch_planned_anew(
            self.connection, statement, [*change.assigned, rows, *change.token]
        )
        return {run_id for (run_id,) in written}

    @property
    def _lock_timeout(self) -> str:
        """SQL that limits the wait for locks, unless the transaction is the caller's."""
        if self.connection.in_atomic_block:
            return ""
        wait = f"{MAX_LOCK_WAIT // MILLISECOND}ms"
        return f"(SELECT SET_CONFIG('lock_timeout', '{wait}', TRUE)) AS timeout, "

    @property
    def _locking_the_run(self) -> str:
        return "FOR UPDATE OF run"

    def is_lock_timeout(self, error: DatabaseError) -> bool:
        cause = error.__cause__
        return LOCK_NOT_AVAILABLE in (getattr(cause, name, None) for name in ("sqlstate", "pgcode"))

    def _insert_due(self, new: NewRuns) -> None:
        clock, moved = DatabaseClock().as_postgresql(None, self.connection)
        # The statement itself reads the clock, which saves a round trip.
        statement, values = self.rows.insertion_of_one(new, clock, returning="enqueued_at")
        [(stored,)] = prepared.fetch(self.connection, statement, [*values, *moved, *moved])
        new.enqueued_at = new.available_at = self.rows.read("enqueued_at", stored)

    def _insert(
        self, shared: dict[str, Any], columns: Sequence[str], own: Sequence[tuple[Any, ...]]
    ) -> None:
        type_of = self.rows.type_of
        typed = ", ".join(f"{name} {type_of(name)}" for name in columns)
        constants = ", ".join(f"%s::{type_of(name)}" for name in shared)
        statement = f"""
            INSERT INTO {self._quoted(TaskRun)} ({", ".join([*columns, *shared])})
            SELECT new.*, {constants}
            FROM JSON_TO_RECORDSET(%s::json) AS new ({typed})"""  # noqa: S608 - names and types
        # Not arrays: psycopg would escape every quotation mark in them, and JSON has many.
        rows = [dict(zip(columns, row, strict=True)) for row in own]
        with self.connection.cursor() as cursor:
            cursor.execute(statement, [*shared.values(), json.dumps(rows, default=str)])


def _moment(microseconds: int) -> datetime:
    if abs(microseconds) < MAX_EXACT:
        return datetime.fromtimestamp(microseconds / 1_000_000, UTC)
    return EPOCH + timedelta(microseconds=microseconds)
