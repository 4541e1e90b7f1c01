"""What every verb of the store is made of: the tables, the clock, and statements on runs.

A verb that changes a claimed run is fenced: it demands the run's id, its state, and the token of
the claim. What it returns are the ids of the runs that were still ours; about the others nothing
was written. The runs given to ``start``, ``finish`` and ``release`` carry the values to write.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import Error as DatabaseError
from django.db import connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Value
from django.db.models.functions import Coalesce, Concat

from taskworks.conf import conf
from taskworks.database import clock
from taskworks.database.clock import DatabaseClock
from taskworks.database.notifications import Listener, Notification, notify_on_commit
from taskworks.models import Edge, IdempotencyKey, RunState, Schedule, TaskRun, Worker
from taskworks.models.run import TaskRunQuerySet
from taskworks.models.schedule import ScheduleQuerySet
from taskworks.models.worker import WorkerQuerySet
from taskworks.store.change import Change, change_of
from taskworks.store.pieces import bytes_of, pieces
from taskworks.store.rows import Rows, rows_of

LONGEST_WAIT = timedelta(seconds=1)  # of a worker's writes for a lock that another session has
LONGEST_HOLD = timedelta(seconds=10)  # of locks by a process that is frozen in the middle


class Base(ABC):
    """One database's runs, and what belongs to them."""

    can_notify = False  # whether workers can be told of new runs

    make_rows = Rows

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.rows = rows_of(self.make_rows, alias)

    @property
    def connection(self) -> BaseDatabaseWrapper:
        return connections[self.alias]

    @property
    def runs(self) -> TaskRunQuerySet:
        return TaskRun.objects.using(self.alias)

    @property
    def workers(self) -> WorkerQuerySet:
        return Worker.objects.using(self.alias)

    @property
    def edges(self) -> "models.QuerySet[Edge]":
        return Edge.objects.using(self.alias)

    @property
    def keys(self) -> "models.QuerySet[IdempotencyKey]":
        return IdempotencyKey.objects.using(self.alias)

    @property
    def schedules(self) -> ScheduleQuerySet:
        return Schedule.objects.using(self.alias)

    def read_clock(self) -> datetime:
        """The database's time, as Django would read it from a column."""
        return clock.read(self.connection)

    # Tell workers that there is something to claim. Where the database cannot, they look.

    def notify_workers(self, backend: str | None = None, queue_name: str | None = None) -> None:
        """Tell them, when it is committed, that runs of a queue have become ready; or of any."""
        if self.can_notify and conf().notify:
            notification = Notification(self.alias, backend, queue_name, self.notify)
            notify_on_commit(notification, self.connection)

    def notify(self, payload: str, channel: str | None = None) -> None:
        """Send a notice, here and now; on the channel of workers, if no other is named."""
        raise NotImplementedError(f"The database {self.alias!r} sends no notices.")

    def listener(self) -> Listener | None:
        """Who may listen for notices; None if nobody can, or is to."""
        return None

    # Transactions.

    def lock_to_write(self) -> None:  # noqa: B027 - most databases lock rows
        """Have this transaction write before it reads, where it could not write afterwards."""

    @contextmanager
    def locking(self) -> Iterator[None]:
        """
        A transaction that locks rows. If it is not part of another one, the database ends it, and
        its locks, once this process is silent for too long: others need not wait for a frozen one.
        """
        is_whole = self.connection.get_autocommit()
        try:
            with transaction.atomic(using=self.alias):
                if is_whole:
                    self._limit_silence(LONGEST_HOLD)
                yield
        finally:
            if is_whole:
                self._lift_limit()

    def _limit_silence(self, longest: timedelta) -> None:  # noqa: B027 - not every database can
        """Have the database end this transaction if it is silent for so long."""

    def _lift_limit(self) -> None:  # noqa: B027 - most limit the transaction, and it is over
        """The session may be as silent as before: what comes next may be others'."""

    def is_lock_timeout(self, error: DatabaseError) -> bool:
        """Whether a statement of ours has not waited any longer for another session's lock."""
        return False

    # Insert runs; write those that are ours, or that have stayed as they were read.

    def _insert_all(self, runs: Sequence[TaskRun]) -> None:
        """Insert runs that differ in their ids and arguments alone."""
        common, own = self.rows.common(runs), self.rows.own(runs)
        shared = bytes_of(common.values())
        some = [*pieces(own, lambda row: bytes_of(row) + shared)]
        with transaction.atomic(using=self.alias) if len(some) > 1 else nullcontext():
            for piece in some:
                self._insert(common, piece)

    @abstractmethod
    def _insert(self, common: dict[str, Any], own: Sequence[tuple[Any, ...]]) -> None:
        """Insert runs, of what they have in common and the rows of what each has for itself."""

    def _write(self, runs: Sequence[TaskRun], columns: Sequence[str], **how: Any) -> set[UUID]:
        """Write these columns of the runs that are still ours; ``how`` is that of ``change_of``."""
        return self._apply(change_of(runs, columns, self.rows.writer, **how)) if runs else set()

    @abstractmethod
    def _apply(self, change: Change) -> set[UUID]:
        """Write a change; the ids of the runs that were still as expected."""

    def _cancelled(self, run: TaskRun, entry: Mapping[str, Any]) -> bool:
        asked = {"cancel_requested_at": self._asked_since()}
        return self._ended(run, RunState.CANCELLED, entry, **asked)

    def _ended(self, run: TaskRun, state: RunState, entry: Mapping[str, Any], **more: Any) -> bool:
        now = self.read_clock()
        facts = {"attempt": run.attempts, "at": now.isoformat(), "worker_id": None}
        errors = [*run.errors, {**facts, **entry}]
        changes = {"state": state.value, "finished_at": now, "errors": errors}
        rows = self._unchanged(run)
        for name, value in changes.items():
            setattr(run, name, value)
        return bool(rows.update(claim_token=None, **changes, **more))  # nobody finishes it twice

    def _unchanged(self, run: TaskRun) -> TaskRunQuerySet:
        """The row, if its life has not gone on since it was read."""
        return self._in(
            self.runs.filter(
                id=run.id,
                claim_token=run.claim_token,
                attempts=run.attempts,
                failures=run.failures,
            ),
            run.state,
        )

    @staticmethod
    def _in(rows: TaskRunQuerySet, *states: str) -> TaskRunQuerySet:
        """
        Those of a few rows that are in these states, and looked up by no index of states: MySQL and
        MariaDB lock whatever they pass in one, and where the table is small they like to.
        """
        return rows.alias(state_it_has=Concat("state", Value(""))).filter(state_it_has__in=states)

    @staticmethod
    def _asked_since() -> Coalesce:
        return Coalesce("cancel_requested_at", DatabaseClock())

    def _lock_free_rows(self, ids: Collection[UUID]) -> list[UUID]:
        """Those of these runs that no other session holds: this transaction does now."""
        # By the primary key, with a column that no index has: MySQL and MariaDB lock whatever they
        # pass in another index, and would wait there for rows that are nobody's.
        rows = self.runs.filter(id__in=ids).select_for_update(skip_locked=True)
        return [run_id for run_id, _ in rows.values_list("id", "attempts")]

    def _update_some(self, some: TaskRunQuerySet, limit: int, **changes: Any) -> int:
        """Update up to ``limit`` of these rows that no other session holds; say how many."""
        # Not in one statement: PostgreSQL may execute a locking subquery more than once.
        with self.locking():
            free = some.select_for_update(skip_locked=True).values_list("id", flat=True)
            ids = list(free[:limit])
            return self.runs.filter(id__in=ids).update(**changes) if ids else 0

    def _change_some(self, some: TaskRunQuerySet, limit: int, **changes: Any) -> list[TaskRun]:
        """As ``_update_some``; the rows as they were."""
        with self.locking():
            runs = list(some.select_for_update(skip_locked=True)[:limit])
            self.runs.filter(id__in=[run.id for run in runs]).update(**changes)
        return runs

    def _end_some(
        self, some: TaskRunQuerySet, limit: int, end: Callable[[TaskRun], bool]
    ) -> list[TaskRun]:
        """End up to ``limit`` of these that no other session holds; those that were ended."""
        with self.locking():
            return [run for run in some.select_for_update(skip_locked=True)[:limit] if end(run)]

    def _notify_if_any(self, count: int) -> int:
        """Tell workers, if runs of any queues have become ready."""
        if count:
            self.notify_workers()
        return count

    def _notify_queues_of(self, runs: Sequence[TaskRun], written: set[UUID]) -> set[UUID]:
        """Tell workers of the queues of those runs that were written."""
        for backend, name in {(run.backend, run.queue_name) for run in runs if run.id in written}:
            self.notify_workers(backend, name)
        return written

    def _fetch(self, statement: str, parameters: Any) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall())

    def _quoted(self, model: type[models.Model]) -> str:
        return self.connection.ops.quote_name(model._meta.db_table)
