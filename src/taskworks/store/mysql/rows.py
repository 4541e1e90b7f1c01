"""Lock rows by their primary key, and write many, each only if it is still ours."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.db.models import Model

from taskworks.database.clock import DatabaseClock
from taskworks.models import Edge, TaskRun
from taskworks.models.run import TaskRunQuerySet
from taskworks.store.mysql.lock_waits import LockWaits
from taskworks.store.new_runs import NewRuns
from taskworks.store.statements import Change, bytes_of, per_statement


class RowsByKey(LockWaits):
    """Writes that lock no row but their own."""

    # Lock rows by the primary key, whatever the planner prefers: it might scan a small table and
    # lock other rows too, which another session would then wait for or skip.

    def _lock_free_edges(self, ids: Sequence[int]) -> list[int]:
        return self._lock_by_key(Edge, ids)

    def _delete_by_key(self, model: type[Model], keys: Collection[Any]) -> int:
        if not keys:
            return 0
        # DELETE ignores FORCE INDEX, but respects the order of a join.
        mine = " UNION ALL ".join(["SELECT %s AS id"] * len(keys))
        key: Any = model._meta.pk
        name = self.connection.ops.quote_name(key.column)
        statement = f"""
            DELETE kept FROM ({mine}) AS mine
            STRAIGHT_JOIN {self._quoted(model)} AS kept ON kept.{name} = mine.id"""
        with self.connection.cursor() as cursor:
            cursor.execute(statement, [key.get_db_prep_save(one, self.connection) for one in keys])
            return int(cursor.rowcount)

    def _lock_free_rows(self, ids: Collection[UUID]) -> list[UUID]:
        write = self.rows.writer("id")
        return [UUID(str(run_id)) for run_id in self._lock_by_key(TaskRun, [*map(write, ids)])]

    def _lock_by_key(self, model: type[Model], ids: Sequence[Any]) -> list[Any]:
        """Lock those of these rows that no other session has locked; return their ids."""
        if not ids:
            return []
        statement = f"""
            SELECT id FROM {self._quoted(model)} FORCE INDEX (PRIMARY)
            WHERE id IN ({", ".join(["%s"] * len(ids))})
            FOR UPDATE SKIP LOCKED"""  # noqa: S608 - a table's name
        return [row[0] for row in self._fetch(statement, ids)]

    def _unfinished(self, run_id: UUID) -> TaskRunQuerySet:
        # Locked, because a REPEATABLE READ transaction would otherwise read the old row each time.
        return super()._unfinished(run_id).select_for_update()

    def _apply(self, change: Change) -> set[UUID]:
        written: set[UUID] = set()
        for rows in per_statement(change.rows, bytes_of):
            written |= self._apply_rows(replace(change, rows=[*rows]))
        return written

    def _apply_rows(self, change: Change) -> set[UUID]:
        """Lock the rows that are still ours, then write them."""
        keys, key_values = _as_table(change, only=("id", "claim_token", "state"))
        new, values = _as_table(change)
        with (
            self._limited_lock_wait() as limited,
            self.locking(),
            self.connection.cursor() as cursor,
        ):
            cursor.execute(
                f"""
                {limited} SELECT new.id FROM {self._quoted(TaskRun)} AS run
                JOIN {keys} ON run.id = new.id
                WHERE {change.condition()} ORDER BY run.id FOR UPDATE""",  # noqa: S608 - names
                [*key_values, *change.token],
            )
            ours = {row[0] for row in cursor.fetchall()}
            if ours:
                cursor.execute(
                    f"""
                    {limited} UPDATE {self._quoted(TaskRun)} AS run JOIN {new} ON run.id = new.id
                    SET {change.assignments("run.")}
                    WHERE {change.condition()}""",  # noqa: S608 - only names are put in
                    [*values, *change.assigned, *change.token],
                )
        return {change.ids[run_id] for run_id in ours}

    def _insert_due(self, new: NewRuns) -> None:
        if not self._is_mariadb:  # MySQL returns nothing of what it inserts
            return super()._insert_due(new)
        clock, offset = DatabaseClock().as_mysql(None, self.connection)
        statement, values = self.rows.insertion_of_one(new, clock, returning="enqueued_at")
        [(stored,)] = self._fetch(statement, [*values, *offset, *offset])
        new.enqueued_at = new.available_at = self.rows.read("enqueued_at", stored)
        return None

    def _insert(
        self, shared: dict[str, Any], columns: Sequence[str], own: Sequence[tuple[Any, ...]]
    ) -> None:
        names = ", ".join(map(self.connection.ops.quote_name, [*columns, *shared]))
        row = f"({', '.join(['%s'] * (len(columns) + len(shared)))})"
        statement = f"""
            INSERT INTO {self._quoted(TaskRun)} ({names})
            VALUES {", ".join([row] * len(own))}"""  # noqa: S608 - only names of columns are put in
        with self.connection.cursor() as cursor:
            cursor.execute(statement, [v for row in own for v in (*row, *shared.values())])


def _as_table(change: Change, only: Collection[str] = ()) -> tuple[str, list[Any]]:
    """Return the SQL of a table of the rows, or of only these columns of theirs, and its values."""
    places = [place for place, name in enumerate(change.own) if not only or name in only]
    row = "SELECT " + ", ".join(f"%s AS {change.own[place]}" for place in places)
    values = [row[place] for row in change.rows for place in places]
    return f"({' UNION ALL '.join([row] * len(change.rows))}) AS new", values
