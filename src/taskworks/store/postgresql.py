"""Runs on PostgreSQL: claim and write many in one statement each."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from taskworks.models import RunState, TaskRun, Worker
from taskworks.models.run import claim_order
from taskworks.store.base import FORGOTTEN, HEED_CANCEL, OWN, Store, fresh_token, in_line
from taskworks.store.clock import DatabaseClock


class PostgreSQLStore(Store):
    def read_clock(self) -> datetime:
        clock, offset = DatabaseClock().as_postgresql(None, self.connection)
        [(now,)] = self._fetch(f"SELECT {clock}", offset)
        return now  # type: ignore[no-any-return]

    def _claim(
        self,
        worker: UUID,
        backend: str,
        queues: Sequence[str],
        room: Mapping[str, int],
        limit: int,
    ) -> list[TaskRun]:
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
                    FROM UNNEST(%(queues)s::text[], %(executors)s::text[], %(rooms)s::int[])
                        AS line (queue_name, executor, room)
                    CROSS JOIN LATERAL (
                        SELECT id, rank, available_at FROM {runs}
                        WHERE state = 'ready' AND backend = %(backend)s
                            AND queue_name = line.queue_name AND executor = line.executor
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
            RETURNING run.*"""  # noqa: S608 - only names of tables are put in
        lines = in_line(queues, room)
        parameters = {
            "worker": worker,
            "token": fresh_token(),
            "moved": DatabaseClock.moved,
            "backend": backend,
            "queues": [line.queue_name for line in lines],
            "executors": [line.executor for line in lines],
            "rooms": [line.room for line in lines],
            "limit": limit,
        }
        return sorted(self.runs.raw(statement, parameters), key=claim_order)

    def _write(
        self,
        runs: Sequence[TaskRun],
        columns: Sequence[str],
        *,
        guard: Sequence[RunState],
        forget_claim: bool = False,
        heed_cancel: bool = False,
    ) -> set[UUID]:
        names = ["id", "claim_token", *columns]
        arrays = ", ".join(f"%s::{self._type(name)}[]" for name in names)
        changes = [f"{column} = new.{column}" for column in columns]
        if forget_claim:
            changes += FORGOTTEN
        statement = f"""
            UPDATE {self._quoted(TaskRun)} AS run
            SET {", ".join(changes)}
            FROM UNNEST({arrays}) AS new ({", ".join(names)})
            WHERE run.id = new.id AND run.claim_token = new.claim_token AND run.state = ANY(%s)
                {HEED_CANCEL if heed_cancel else ""}
            RETURNING run.id"""  # noqa: S608 - only names and types of columns are put in
        values = [self._prepared(name, (getattr(run, name) for run in runs)) for name in names]
        return {
            run_id
            for (run_id,) in self._fetch(statement, [*values, [state.value for state in guard]])
        }

    def _insert(self, runs: Sequence[TaskRun]) -> None:
        common = self._in_common(runs)
        arrays = ", ".join(f"%s::{self._type(name)}[]" for name in OWN)
        constants = ", ".join(f"%s::{self._type(name)}" for name in common)
        statement = f"""
            INSERT INTO {self._quoted(TaskRun)} ({", ".join([*OWN, *common])})
            SELECT new.*, {constants}
            FROM UNNEST({arrays}) AS new ({", ".join(OWN)})"""  # noqa: S608 - names and types
        own = [self._prepared(name, (getattr(run, name) for run in runs)) for name in OWN]
        with self.connection.cursor() as cursor:
            cursor.execute(statement, [*common.values(), *own])

    def _type(self, column: str) -> str:
        return TaskRun._meta.get_field(column).db_type(self.connection) or ""
