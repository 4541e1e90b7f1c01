"""
Runs on MySQL and MariaDB, which have no UPDATE ... RETURNING: lock, then write, in a transaction.

Rows are locked in the order of an index and without waiting, so that two workers cannot deadlock.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import Error as DatabaseError
from django.db import OperationalError, transaction
from django.db.models import Min, Model

from taskworks.database.clock import DatabaseClock
from taskworks.models import Edge, RunState, TaskRun
from taskworks.models.run import TaskRunQuerySet, claim_order
from taskworks.store.base import MAX_LOCK_WAIT
from taskworks.store.change import Change
from taskworks.store.claiming import Lane, Outlook, fresh_token
from taskworks.store.enqueueing import Once
from taskworks.store.rows import OWN, bytes_of, pieces
from taskworks.store.verbs import Store

LOCK_WAIT_TIMEOUT, DEADLOCK = 1205, 1213


class MySQLStore(Store):
    def ready_queues(self, backend: str) -> list[str]:
        # One probe per queue: for a recursive query, or DISTINCT, MySQL reads everything ready.
        return [*self._ready_queues_after("", backend)]

    def _ready_queues_after(self, name: str, backend: str) -> Iterator[str]:
        ready = self.runs.ready().filter(backend=backend)
        while name := ready.filter(queue_name__gt=name).aggregate(name=Min("queue_name"))["name"]:
            yield name

    def outlook(self, backend: str) -> Outlook:
        due_in, clock = self._due_in()
        table = self._quoted(TaskRun)
        statement = f"""
            SELECT
                (SELECT MIN(queue_name) FROM {table} WHERE state = 'ready' AND backend = %s),
                (SELECT {due_in} FROM {table} WHERE state = 'scheduled')"""  # noqa: S608 - a name
        [(first, seconds)] = self._fetch(statement, [backend, *clock])
        queues = [] if first is None else [first, *self._ready_queues_after(first, backend)]
        return Outlook(queues, math.inf if seconds is None else float(seconds))

    def _due_in(self) -> tuple[str, Sequence[Any]]:
        clock, offset = DatabaseClock().as_mysql(None, self.connection)
        return f"TIMESTAMPDIFF(MICROSECOND, {clock}, MIN(available_at)) / 1000000", offset

    def _claim(
        self,
        worker: UUID,
        backend: str,
        lines: Sequence[Lane],
        room: Mapping[str, int],
        limit: int,
    ) -> list[TaskRun]:
        with self.locking():
            heads: dict[str, list[TaskRun]] = {executor: [] for executor in room}
            for line in lines:
                heads[line.executor] += self._locked(backend, line)
            first = [
                run
                for executor, runs in heads.items()
                for run in sorted(runs, key=claim_order)[: room[executor]]
            ]
            runs = sorted(first, key=claim_order)[:limit]
            return self._handed_over(runs, worker) if runs else []

    def _locked(self, backend: str, line: Lane) -> list[TaskRun]:
        statement = f"""
            SELECT {self.rows.columns()} FROM {self._quoted(TaskRun)}
            WHERE state = 'ready' AND backend = %s AND queue_name = %s AND executor = %s
            ORDER BY `rank`, available_at, id LIMIT %s
            FOR UPDATE SKIP LOCKED"""  # noqa: S608 - only names are put in
        return self.rows.claimed(
            self._fetch(statement, [backend, line.queue_name, line.executor, line.room])
        )

    def _handed_over(self, runs: list[TaskRun], worker: UUID) -> list[TaskRun]:
        now, token = self.read_clock(), fresh_token()
        if not self.workers.living().filter(id=worker).exists():
            return []
        claim = {"claimed_by": worker, "claim_token": token, "claimed_at": now}
        ids = [run.id for run in runs]
        self.runs.filter(id__in=ids).update(state=RunState.CLAIMED, **claim)
        for run in runs:
            run.__dict__.update(claim)
        return runs

    def _limit_silence(self, longest: timedelta) -> None:
        # MariaDB has this limit for sessions only, MySQL not at all.
        if self._is_mariadb:
            self._limit("idle_transaction_timeout", longest)

    def _lift_limit(self) -> None:
        if self._is_mariadb:
            self._unlimit("idle_transaction_timeout")

    @property
    def _is_mariadb(self) -> bool:
        connection: Any = self.connection
        return bool(connection.mysql_is_mariadb)

    @contextmanager
    def _waiting_little(self) -> Iterator[None]:
        """Limit the wait for locks in this block, unless the transaction is the caller's."""
        is_whole = self.connection.get_autocommit()
        if is_whole:
            self._limit("innodb_lock_wait_timeout", MAX_LOCK_WAIT)
        try:
            yield
        finally:
            if is_whole:
                self._unlimit("innodb_lock_wait_timeout")

    def _limit(self, name: str, longest: timedelta) -> None:
        """Set a variable of the session, and remember its value for whoever uses it next."""
        seconds = int(longest.total_seconds())
        self._set(f"@taskworks_{name} = @@SESSION.{name}, SESSION {name} = {seconds}")

    def _unlimit(self, name: str) -> None:
        # If the connection was closed, the session and its limit are gone.
        if self.connection.connection:
            with suppress(DatabaseError):  # the statements of the block are committed
                self._set(f"SESSION {name} = @taskworks_{name}")

    def _set(self, variables: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(f"SET {variables}")

    def is_lock_timeout(self, error: DatabaseError) -> bool:
        return error.args[:1] == (LOCK_WAIT_TIMEOUT,)

    def _enqueued_first(
        self, run: TaskRun, once: Once, delay: timedelta | None, expires: float
    ) -> bool:
        try:
            return super()._enqueued_first(run, once, delay, expires)
        except OperationalError as error:
            # Several sessions waited for one that rolled back. A deadlock ends the transaction.
            if error.args[0] != DEADLOCK or self.connection.in_atomic_block:
                raise
            return False

    def cancel(self, run_id: UUID, entry: Mapping[str, Any]) -> RunState | None:
        with transaction.atomic(using=self.alias):
            return super().cancel(run_id, entry)

    # By the primary key, whatever the planner prefers: it might scan a small table, and lock rows
    # that are not meant, which another session would wait for or skip.

    def _lock_free_edges(self, ids: Sequence[int]) -> list[int]:
        return self._locked_by_key(Edge, ids)

    def _delete_locked_edges(self, ids: Sequence[int]) -> None:
        if not ids:
            return
        # DELETE heeds no FORCE INDEX, but the order of a join.
        mine = " UNION ALL ".join(["SELECT %s AS id"] * len(ids))
        statement = f"""
            DELETE edge FROM ({mine}) AS mine
            STRAIGHT_JOIN {self._quoted(Edge)} AS edge ON edge.id = mine.id"""
        with self.connection.cursor() as cursor:
            cursor.execute(statement, ids)

    def _lock_free_rows(self, ids: Collection[UUID]) -> list[UUID]:
        write = self.rows.writer("id")
        return [UUID(str(run_id)) for run_id in self._locked_by_key(TaskRun, [*map(write, ids)])]

    def _locked_by_key(self, model: type[Model], ids: Sequence[Any]) -> list[Any]:
        """Those of these rows that no other session holds: this transaction does now."""
        if not ids:
            return []
        statement = f"""
            SELECT id FROM {self._quoted(model)} FORCE INDEX (PRIMARY)
            WHERE id IN ({", ".join(["%s"] * len(ids))})
            FOR UPDATE SKIP LOCKED"""  # noqa: S608 - a table's name
        return [row[0] for row in self._fetch(statement, ids)]

    def _unfinished(self, run_id: UUID) -> TaskRunQuerySet:
        # Without the lock a REPEATABLE READ transaction would read an old row every time.
        return super()._unfinished(run_id).select_for_update()

    def _apply(self, change: Change) -> set[UUID]:
        written: set[UUID] = set()
        for rows in pieces(change.rows, bytes_of):
            written |= self._apply_at_once(replace(change, rows=[*rows]))
        return written

    def _apply_at_once(self, change: Change) -> set[UUID]:
        """Lock the rows that are still ours, then write them."""
        row = "SELECT " + ", ".join(f"%s AS {name}" for name in change.own)
        new = f"({' UNION ALL '.join([row] * len(change.rows))}) AS new"
        values = [value for row in change.rows for value in row]
        with self._waiting_little(), self.locking(), self.connection.cursor() as cursor:
            cursor.execute(
                f"""
                SELECT run.id FROM {self._quoted(TaskRun)} AS run
                JOIN {new} ON run.id = new.id
                WHERE {change.condition()} ORDER BY run.id FOR UPDATE""",  # noqa: S608 - names
                [*values, *change.token],
            )
            ours = {row[0] for row in cursor.fetchall()}
            if ours:
                cursor.execute(
                    f"""
                    UPDATE {self._quoted(TaskRun)} AS run JOIN {new} ON run.id = new.id
                    SET {change.settings("run.")}
                    WHERE {change.condition()}""",  # noqa: S608 - only names are put in
                    [*values, *change.values, *change.token],
                )
        return {UUID(str(run_id)) for run_id in ours}

    def _insert(self, common: dict[str, Any], own: Sequence[tuple[Any, ...]]) -> None:
        columns = ", ".join(map(self.connection.ops.quote_name, [*OWN, *common]))
        row = f"({', '.join(['%s'] * (len(OWN) + len(common)))})"
        statement = f"""
            INSERT INTO {self._quoted(TaskRun)} ({columns})
            VALUES {", ".join([row] * len(own))}"""  # noqa: S608 - only names of columns are put in
        with self.connection.cursor() as cursor:
            cursor.execute(statement, [v for row in own for v in (*row, *common.values())])
