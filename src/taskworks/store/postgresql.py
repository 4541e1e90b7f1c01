"""Runs on PostgreSQL: claim and write many in one statement each."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import models

from taskworks.conf import conf
from taskworks.database.clock import DatabaseClock, in_microseconds
from taskworks.database.notifications import CHANNEL, Listener
from taskworks.models import TaskRun, Worker
from taskworks.store.base import MAX_LOCK_WAIT
from taskworks.store.change import Change
from taskworks.store.claiming import Lane, fresh_token
from taskworks.store.rows import OWN, Convert, Field, Rows
from taskworks.store.verbs import Store

LOCK_NOT_AVAILABLE = "55P03"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EXACT = 2**52  # microseconds, until 2112, of which a float of seconds keeps each one
START = (-(2**15), "-infinity", UUID(int=0))  # before every place in a line
# So that no plan reads all that is in hand, by the index of it, for a few rows of known ids.
STATE = "run.state || ''"


class PostgreSQLRows(Rows):
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
        # As JSON has it, which is also what PostgreSQL reads.
        match TaskRun._meta.get_field(column):
            case models.DateTimeField():
                return datetime.isoformat
            case models.UUIDField():
                return str
        return super().writer(column)


class PostgreSQLStore(Store):
    make_rows = PostgreSQLRows
    can_notify = True
    uses_cursors = True

    def notify(self, payload: str, channel: str | None = None) -> None:
        # A transaction with a notification is written to disk like any other; for this one nobody
        # needs to wait, unless it is the caller's.
        hurried = "SET_CONFIG('synchronous_commit', 'off', TRUE), "
        words = hurried if self.connection.get_autocommit() else ""
        self._fetch(f"SELECT {words}PG_NOTIFY(%s, %s)", [channel or CHANNEL, payload])

    def listener(self) -> Listener | None:
        return Listener(self.connection) if conf().notify else None

    def _limit_silence(self, longest: timedelta) -> None:
        # For this transaction only: behind a pooler, others use the session as well.
        milliseconds = str(longest // timedelta(milliseconds=1))
        setting = "idle_in_transaction_session_timeout"
        self._fetch("SELECT SET_CONFIG(%s, %s, TRUE)", [setting, milliseconds])

    def _due_in(self) -> tuple[str, Sequence[Any]]:
        clock, offset = DatabaseClock().as_postgresql(None, self.connection)
        return f"EXTRACT(EPOCH FROM MIN(available_at) - {clock})", offset

    def _claim(
        self,
        worker: UUID,
        backend: str,
        lines: Sequence[Lane],
        room: Mapping[str, int],
        limit: int,
    ) -> list[TaskRun]:
        if not lines:
            return []
        runs, workers = self._quoted(TaskRun), self._quoted(Worker)
        # Materialised, or the planner may execute the locking read more than once; a read a line,
        # or it may sort all that is ready. A locked row stays where it is, so it is updated there,
        # however many levels the primary key has.
        statement = f"""
            WITH head AS MATERIALIZED (
                SELECT tid FROM (
                    SELECT ready.*, line.room, ROW_NUMBER() OVER (
                        PARTITION BY line.executor
                        ORDER BY ready.rank, ready.available_at, ready.id
                    ) AS place
                    FROM UNNEST(
                        %(queues)s::text[], %(executors)s::text[], %(rooms)s::int[],
                        %(ranks)s::smallint[], %(moments)s::timestamptz[], %(ids)s::uuid[]
                    ) AS line (queue_name, executor, room, rank, available_at, id)
                    CROSS JOIN LATERAL (
                        SELECT ctid AS tid, rank, available_at, id FROM {runs}
                        WHERE state = 'ready' AND backend = %(backend)s
                            AND queue_name = line.queue_name AND executor = line.executor
                            AND (rank, available_at, id) >= (line.rank, line.available_at, line.id)
                        ORDER BY rank, available_at, id LIMIT line.room
                        FOR UPDATE SKIP LOCKED
                    ) AS ready
                ) AS first
                WHERE place <= room
                ORDER BY rank, available_at, id LIMIT %(limit)s
            )
            UPDATE {runs} AS run
            SET state = 'claimed', claimed_by = %(worker)s, claim_token = %(token)s,
                claimed_at = STATEMENT_TIMESTAMP() + %(moved)s * INTERVAL '1 microsecond'
            FROM head
            WHERE run.ctid = head.tid AND EXISTS (
                SELECT 1 FROM {workers} WHERE id = %(worker)s AND given_up_at IS NULL
            )
            RETURNING {self.rows.columns()}"""  # noqa: S608 - only names are put in
        token = fresh_token()
        ranks, moments, ids = zip(*(line.after or START for line in lines), strict=True)
        parameters = {
            "worker": worker,
            "token": token,
            "moved": in_microseconds(DatabaseClock.moved),
            "backend": backend,
            "queues": [line.queue_name for line in lines],
            "executors": [line.executor for line in lines],
            "rooms": [line.room for line in lines],
            "ranks": [*ranks],
            "moments": [str(moment) for moment in moments],
            "ids": [*ids],
            "limit": limit,
        }
        rows = self._fetch(statement, parameters)
        return self.rows.claimed(rows, claimed_by=worker, claim_token=token)

    def _apply(self, change: Change) -> set[UUID]:
        # One JSON document, which Python writes three times as fast as arrays.
        columns = ", ".join(f"{name} {self.rows.type_of(name)}" for name in change.own)
        statement = f"""
            UPDATE {self._quoted(TaskRun)} AS run SET {change.settings()}
            FROM {self._patience}JSON_TO_RECORDSET(%s::json) AS new ({columns})
            WHERE run.id = new.id AND {change.condition(STATE)}
            RETURNING run.id"""  # noqa: S608 - only names and types of columns are put in
        rows = json.dumps([dict(zip(change.own, row, strict=True)) for row in change.rows])
        written = self._fetch(statement, [*change.values, rows, *change.token])
        return {run_id for (run_id,) in written}

    @property
    def _patience(self) -> str:
        """SQL that limits the wait for locks, unless the transaction is the caller's."""
        if self.connection.in_atomic_block:
            return ""
        wait = f"{MAX_LOCK_WAIT // timedelta(milliseconds=1)}ms"
        return f"(SELECT SET_CONFIG('lock_timeout', '{wait}', TRUE)) AS patience, "

    def is_lock_timeout(self, error: DatabaseError) -> bool:
        cause = error.__cause__
        return LOCK_NOT_AVAILABLE in (getattr(cause, name, None) for name in ("sqlstate", "pgcode"))

    def _insert_now(self, run: TaskRun) -> None:
        # The clock is read by the statement itself, which saves a way to the server and back.
        clock, moved = DatabaseClock().as_postgresql(None, self.connection)
        new = dict(zip(OWN, *self.rows.own([run]), strict=True)) | self.rows.common([run])
        statement = f"""
            INSERT INTO {self._quoted(TaskRun)} ({", ".join(new)}, enqueued_at, available_at)
            VALUES ({", ".join(["%s"] * len(new))}, {clock}, {clock})
            RETURNING enqueued_at"""  # noqa: S608 - only names of columns are put in
        [(run.enqueued_at,)] = self._fetch(statement, [*new.values(), *moved, *moved])
        run.available_at = run.enqueued_at

    def _insert(self, common: dict[str, Any], own: Sequence[tuple[Any, ...]]) -> None:
        type_of = self.rows.type_of
        columns = ", ".join(f"{name} {type_of(name)}" for name in OWN)
        constants = ", ".join(f"%s::{type_of(name)}" for name in common)
        statement = f"""
            INSERT INTO {self._quoted(TaskRun)} ({", ".join([*OWN, *common])})
            SELECT new.*, {constants}
            FROM JSON_TO_RECORDSET(%s::json) AS new ({columns})"""  # noqa: S608 - names and types
        # No arrays: psycopg quotes each quotation mark in them, and JSON is full of these.
        rows = [dict(zip(OWN, row, strict=True)) for row in own]
        with self.connection.cursor() as cursor:
            cursor.execute(statement, [*common.values(), json.dumps(rows, default=str)])


def _moment(microseconds: int) -> datetime:
    if abs(microseconds) < EXACT:
        return datetime.fromtimestamp(microseconds / 1_000_000, UTC)
    return EPOCH + timedelta(microseconds=microseconds)
