"""Runs on PostgreSQL: claim and write many in one statement each."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from taskworks.models import RunState, TaskRun, Worker
from taskworks.models.run import claim_order
from taskworks.store.base import Store, fresh_token


class PostgreSQLStore(Store):
    def read_clock(self) -> datetime:
        [(now,)] = self._fetch("SELECT STATEMENT_TIMESTAMP()", [])
        return now  # type: ignore[no-any-return]

    def claim(self, worker: UUID, backend: str, queues: Sequence[str], limit: int) -> list[TaskRun]:
        runs, workers = self._quoted(TaskRun), self._quoted(Worker)
        # Materialised, or the planner may execute the locking read more than once; a read a
        # queue, or it may sort all that is ready.
        statement = f"""
            WITH head AS MATERIALIZED (
                SELECT ready.id
                FROM UNNEST(%(queues)s::text[]) AS queue (name)
                CROSS JOIN LATERAL (
                    SELECT id, rank, available_at FROM {runs}
                    WHERE state = 'ready' AND backend = %(backend)s AND queue_name = queue.name
                    ORDER BY rank, available_at, id LIMIT %(limit)s
                    FOR UPDATE SKIP LOCKED
                ) AS ready
                ORDER BY ready.rank, ready.available_at, ready.id LIMIT %(limit)s
            )
            UPDATE {runs} AS run
            SET state = 'claimed', claimed_by = %(worker)s, claim_token = %(token)s,
                claimed_at = STATEMENT_TIMESTAMP()
            FROM head
            WHERE run.id = head.id AND EXISTS (
                SELECT 1 FROM {workers} WHERE id = %(worker)s AND given_up_at IS NULL
            )
            RETURNING run.*"""  # noqa: S608 - only names of tables are put in
        parameters = {
            "worker": worker,
            "token": fresh_token(),
            "backend": backend,
            "queues": list(queues),
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
    ) -> set[UUID]:
        names = ["id", "claim_token", *columns]
        arrays = ", ".join(f"%s::{self._type(name)}[]" for name in names)
        changes = [f"{column} = new.{column}" for column in columns]
        if forget_claim:
            changes += ["claimed_by = NULL", "claim_token = NULL"]
        statement = f"""
            UPDATE {self._quoted(TaskRun)} AS run
            SET {", ".join(changes)}
            FROM UNNEST({arrays}) AS new ({", ".join(names)})
            WHERE run.id = new.id AND run.claim_token = new.claim_token AND run.state = ANY(%s)
            RETURNING run.id"""  # noqa: S608 - only names and types of columns are put in
        values = [self._prepared(name, (getattr(run, name) for run in runs)) for name in names]
        return {
            run_id
            for (run_id,) in self._fetch(statement, [*values, [state.value for state in guard]])
        }

    def _type(self, column: str) -> str:
        return TaskRun._meta.get_field(column).db_type(self.connection) or ""
