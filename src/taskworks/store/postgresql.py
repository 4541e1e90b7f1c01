"""Runs on PostgreSQL: claim and write many in one statement each."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import models

from taskworks.conf import conf
from taskworks.models import TaskRun, Worker
from taskworks.store.base import OWN, Line, Store, fresh_token
from taskworks.store.change import Change
from taskworks.store.clock import DatabaseClock
from taskworks.store.notices import CHANNEL, Listener

START = (-(2**15), "-infinity", UUID(int=0))  # before every place in a line
# So that no plan reads all that is in hand, by the index of it, for a few rows of known ids.
STATE = "run.state || ''"


class PostgreSQLStore(Store):
    can_notify = True
    uses_cursors = True

    def read_clock(self) -> datetime:
        clock, offset = DatabaseClock().as_postgresql(None, self.connection)
        [(now,)] = self._fetch(f"SELECT {clock}", offset)
        return now  # type: ignore[no-any-return]

    def notify(self, payload: str) -> None:
        # A transaction with a notice in it is written to disk like any other; for this one nobody
        # needs to wait.
        self._fetch(
            "SELECT SET_CONFIG('synchronous_commit', 'off', TRUE), PG_NOTIFY(%s, %s)",
            [CHANNEL, payload],
        )

    def listener(self) -> Listener | None:
        return Listener(self.connection) if conf().notify else None

    def _due_in(self) -> tuple[str, Sequence[Any]]:
        clock, offset = DatabaseClock().as_postgresql(None, self.connection)
        return f"EXTRACT(EPOCH FROM MIN(available_at) - {clock})", offset

    def _claim(
        self,
        worker: UUID,
        backend: str,
        lines: Sequence[Line],
        room: Mapping[str, int],
        limit: int,
    ) -> list[TaskRun]:
        if not lines:
            return []
        runs, workers = self._quoted(TaskRun), self._quoted(Worker)
        # Materialised, or the planner may execute the locking read more than once; a read a line,
        # or it may sort all that is ready.
        statement = f"""
            WITH head AS MATERIALIZED (
                SELECT id FROM (
                    SELECT ready.*, line.room, ROW_NUMBER() OVER (
                        PARTITION BY line.executor
                        ORDER BY ready.rank, ready.available_at, ready.id
                    ) AS place
                    FROM UNNEST(
                        %(queues)s::text[], %(executors)s::text[], %(rooms)s::int[],
                        %(ranks)s::smallint[], %(moments)s::timestamptz[], %(ids)s::uuid[]
                    ) AS line (queue_name, executor, room, rank, available_at, id)
                    CROSS JOIN LATERAL (
                        SELECT id, rank, available_at FROM {runs}
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
                claimed_at = STATEMENT_TIMESTAMP() + %(moved)s
            FROM head
            WHERE run.id = head.id AND EXISTS (
                SELECT 1 FROM {workers} WHERE id = %(worker)s AND given_up_at IS NULL
            )
            RETURNING {self._columns()}"""  # noqa: S608 - only names are put in
        token = fresh_token()
        ranks, moments, ids = zip(*(line.after or START for line in lines), strict=True)
        parameters = {
            "worker": worker,
            "token": token,
            "moved": DatabaseClock.moved,
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
        return self._claimed(rows, claimed_by=worker, claim_token=token)

    def _apply(self, change: Change) -> set[UUID]:
        # One JSON document, which Python writes three times as fast as arrays.
        columns = ", ".join(f"{name} {self._type(name)}" for name in change.own)
        statement = f"""
            UPDATE {self._quoted(TaskRun)} AS run SET {change.settings()}
            FROM JSON_TO_RECORDSET(%s::json) AS new ({columns})
            WHERE run.id = new.id AND {change.condition(STATE)}
            RETURNING run.id"""  # noqa: S608 - only names and types of columns are put in
        rows = json.dumps([dict(zip(change.own, row, strict=True)) for row in change.rows])
        written = self._fetch(statement, [*change.values, rows, *change.token])
        return {run_id for (run_id,) in written}

    def _expression(self, field: Any) -> str:
        # A number, of which a driver makes Python's tenfold faster than of a timestamp.
        if isinstance(field, models.DateTimeField) and settings.USE_TZ:
            return f"(EXTRACT(EPOCH FROM run.{field.attname}) * 1000000)::bigint"
        return f"run.{super()._expression(field)}"

    def _reader(self, field: Any) -> Callable[[Any], Any] | None:
        if isinstance(field, models.DateTimeField) and settings.USE_TZ:
            return _moment
        return super()._reader(field)

    def _plain(self, column: str, value: Any) -> Any:
        # As JSON has it, which is also what PostgreSQL reads.
        if isinstance(value, datetime):
            return value.isoformat()
        return str(value) if isinstance(value, UUID) else super()._plain(column, value)

    def _insert(self, runs: Sequence[TaskRun]) -> None:
        common = self._in_common(runs)
        columns = ", ".join(f"{name} {self._type(name)}" for name in OWN)
        constants = ", ".join(f"%s::{self._type(name)}" for name in common)
        statement = f"""
            INSERT INTO {self._quoted(TaskRun)} ({", ".join([*OWN, *common])})
            SELECT new.*, {constants}
            FROM JSON_TO_RECORDSET(%s::json) AS new ({columns})"""  # noqa: S608 - names and types
        # No arrays: psycopg quotes each quotation mark in them by itself, and JSON is full of them.
        own = [self._prepared(name, (getattr(run, name) for run in runs)) for name in OWN]
        rows = [dict(zip(OWN, values, strict=True)) for values in zip(*own, strict=True)]
        with self.connection.cursor() as cursor:
            cursor.execute(statement, [*common.values(), json.dumps(rows, default=str)])

    def _type(self, column: str) -> str:
        return TaskRun._meta.get_field(column).db_type(self.connection) or ""


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
