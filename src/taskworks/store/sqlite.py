"""Runs on SQLite: claim and write many in one statement each, which takes the write lock once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

from taskworks.database import converted
from taskworks.database.clock import DatabaseClock
from taskworks.database.transactions import writing
from taskworks.models import TaskRun, Worker
from taskworks.models.run import TaskRunQuerySet
from taskworks.store.claiming import Lane
from taskworks.store.limited_names import COLUMNS
from taskworks.store.limiting import Line, Share
from taskworks.store.new_runs import NewRuns
from taskworks.store.statements import Change
from taskworks.store.verbs import Store

NOBODY = UUID(int=0)


class SQLiteStore(Store):
    """A store on SQLite, which has one write lock and no locks of rows."""

    can_see_commits = True
    _as_is = "LIMIT -1 OFFSET 0"

    @contextmanager
    def seeing_commits(self) -> Iterator[Callable[[], Any]]:
        # It is called many times a second, so without Django's cursors.
        self.connection.ensure_connection()
        raw: Any = self.connection.connection

        def data_version() -> Any:
            return raw.execute("PRAGMA data_version").fetchone()

        with self.connection.wrap_database_errors:
            yield data_version

    def lock_to_write(self) -> None:
        self.runs.filter(id=NOBODY).update(rank=0)

    def _seconds_until(self, moment: str) -> tuple[str, Sequence[Any]]:
        clock, now = DatabaseClock().as_sqlite(None, self.connection)
        return f"(JULIANDAY({moment}) - JULIANDAY({clock})) * 86400", now

    def _claim(
        self, worker: UUID, backend: str, lanes: Sequence[Lane], limit: int
    ) -> list[TaskRun]:
        runs, workers = self._quoted(TaskRun), self._quoted(Worker)
        clock, now = DatabaseClock().as_sqlite(None, self.connection)
        # CROSS JOIN keeps SQLite from reordering the tables: one read of the index per lane.
        statement = f"""
            WITH lane (queue_name, executor, room) AS (
                VALUES {", ".join(["(%s, %s, %s)"] * len(lanes))}
            )
            UPDATE {runs}
            SET state = 'claimed', claimed_by = %s, claim_token = %s, claimed_at = {clock}
            WHERE id IN (
                SELECT id FROM (
                    SELECT head.id, head.rank, head.available_at, lane.room, ROW_NUMBER() OVER (
                        PARTITION BY lane.executor ORDER BY head.rank, head.available_at, head.id
                    ) AS place
                    FROM lane CROSS JOIN {runs} AS head
                    WHERE head.id IN (
                        SELECT id FROM {runs}
                        WHERE state = 'ready' AND lane IS NULL AND backend = %s
                            AND queue_name = lane.queue_name AND executor = lane.executor
                        ORDER BY rank, available_at, id LIMIT %s
                    )
                )
                WHERE place <= room
                ORDER BY rank, available_at, id LIMIT %s
            ) AND EXISTS (SELECT 1 FROM {workers} WHERE id = %s AND given_up_at IS NULL)
            RETURNING {self.rows.columns()}"""  # noqa: S608 - only names are put in
        token = uuid4()
        holder = self.rows.writer("claimed_by")(worker)
        most = max(lane.room for lane in lanes)
        parameters = [
            *(value for lane in lanes for value in (lane.queue_name, lane.executor, lane.room)),
            holder,
            self.rows.writer("claim_token")(token),
            *now,
            backend,
            most,
            limit,
            holder,
        ]
        rows = self._fetch(statement, parameters)
        return self.rows.claimed(rows, claimed_by=worker, claim_token=token)

    def _next_name(self, after: Sequence[str]) -> str:
        # To compare rows, SQLite would read every run that has the name before.
        def first_of(length: int) -> str:
            same = [f"{name} = {value}" for name, value in zip(COLUMNS, after, strict=True)]
            name, value = COLUMNS[length - 1], after[length - 1]
            return f"""(
                SELECT id FROM {self._quoted(TaskRun)}
                WHERE {" AND ".join([*same[: length - 1], f"{name} > {value}"])}
                    AND state = 'ready' AND lane IS NOT NULL
                ORDER BY {", ".join(COLUMNS)} LIMIT 1)"""  # noqa: S608 - names

        return f"COALESCE({', '.join(map(first_of, range(len(COLUMNS), 0, -1)))})"

    def _take(self, worker: UUID, line: Line, shares: Sequence[Share]) -> list[TaskRun]:
        runs, workers = self._quoted(TaskRun), self._quoted(Worker)
        clock, now = DatabaseClock().as_sqlite(None, self.connection)
        statement = f"""
            WITH share (lane, number) AS (VALUES {", ".join(["(%s, %s)"] * len(shares))}),
            queue (name) AS (VALUES {", ".join(["(%s)"] * len(line.queues))})
            UPDATE {runs}
            SET state = 'claimed', claimed_by = %s, claim_token = %s, claimed_at = {clock}
            WHERE id IN (
                SELECT id FROM (
                    SELECT head.id, share.number, ROW_NUMBER() OVER (
                        PARTITION BY share.lane ORDER BY head.rank, head.available_at, head.id
                    ) AS place
                    FROM share CROSS JOIN queue CROSS JOIN {runs} AS head
                    WHERE head.id IN (
                        SELECT id FROM {runs}
                        WHERE state = 'ready' AND lane IS NOT NULL
                            AND limit_name = %s AND backend = %s
                            AND queue_name = queue.name AND executor = %s AND lane = share.lane
                        ORDER BY rank, available_at, id LIMIT %s
                    )
                )
                WHERE place <= number
            ) AND EXISTS (SELECT 1 FROM {workers} WHERE id = %s AND given_up_at IS NULL)
            RETURNING {self.rows.columns_of_limited()}"""  # noqa: S608 - only names are put in
        token = uuid4()
        holder = self.rows.writer("claimed_by")(worker)
        parameters = [
            *(value for share in shares for value in share),
            *line.queues,
            holder,
            self.rows.writer("claim_token")(token),
            *now,
            line.limit,
            line.backend,
            line.executor,
            max(share.number for share in shares),
            holder,
        ]
        rows = self._fetch(statement, parameters)
        return self.rows.claimed_limited(
            rows, claimed_by=worker, claim_token=token, limit_name=line.limit
        )

    def _apply(self, change: Change) -> set[UUID]:
        row = f"({', '.join(['%s'] * len(change.own))})"
        statement = f"""
            WITH new ({", ".join(change.own)}) AS (VALUES {", ".join([row] * len(change.rows))})
            UPDATE {self._quoted(TaskRun)} AS run SET {change.assignments()}
            FROM new
            WHERE run.id = new.id AND {change.condition()}
            RETURNING id"""  # noqa: S608 - only names of columns are put in
        new = [value for row in change.rows for value in row]
        written = self._fetch(statement, [*new, *change.assigned, *change.token])
        return {change.ids[run_id] for (run_id,) in written}

    def _insert_due(self, new: NewRuns) -> None:
        new.schedule(self.read_clock())
        statement, values = self.rows.insertion_of_one(new, "%s")
        now = self.connection.ops.adapt_datetimefield_value(new.enqueued_at)
        self._fetch(statement, [*values, now, now])

    def _insert(
        self, shared: dict[str, Any], columns: Sequence[str], own: Sequence[tuple[Any, ...]]
    ) -> None:
        row = f"({', '.join(['%s'] * len(columns))})"
        statement = f"""
            INSERT INTO {self._quoted(TaskRun)} ({", ".join([*columns, *shared])})
            WITH new ({", ".join(columns)}) AS (VALUES {", ".join([row] * len(own))})
            SELECT new.*, {", ".join(["%s"] * len(shared))} FROM new"""  # noqa: S608 - only names
        self._fetch(statement, [*(value for row in own for value in row), *shared.values()])

    _locking_the_run = ""  # whoever writes has the only lock

    def _update_some(self, some: TaskRunQuerySet, limit: int, **changes: Any) -> int:
        # In one statement: a transaction that has read may not get the write lock afterwards.
        return some.order_by().filter(id__in=some.values("id")[:limit]).update(**changes)

    def _change_some(self, some: TaskRunQuerySet, limit: int, **changes: Any) -> list[TaskRun]:
        runs = list(some[:limit])  # before the transaction, see _update_some
        with writing(self.alias):
            return [run for run in runs if self._as_read(run).update(**changes)]

    def _end_some(
        self, some: TaskRunQuerySet, limit: int, end: Callable[[TaskRun], bool]
    ) -> list[TaskRun]:
        # Without a transaction, see _update_some.
        return [run for run in some[:limit] if end(run)]

    def _as_read(self, run: TaskRun) -> TaskRunQuerySet:
        return self._unchanged(run).filter(cancel_requested_at=run.cancel_requested_at)

    def _delete(self, ids: Sequence[UUID], meant: TaskRunQuerySet) -> int:
        return meant.filter(id__in=ids)._raw_delete(self.alias)

    def _fetch(self, statement: str, parameters: Any) -> list[tuple[Any, ...]]:
        return converted.fetch(self.connection, statement, parameters)
