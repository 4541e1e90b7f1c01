"""What the verbs of the store share: the tables, the clock, and statements on runs.

A verb that changes a claimed run is fenced: its statement writes a run only if the id, the state
and the claim token are as expected. It returns the ids of the runs that were written.
The runs given to such a verb carry the values to write.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import Error as DatabaseError
from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Value
from django.db.models.functions import Coalesce, Concat

from taskworks.conf import conf
from taskworks.database import clock, messengers
from taskworks.database.clock import DatabaseClock
from taskworks.database.listener import Listener
from taskworks.database.notifications import Notification, notify_on_commit
from taskworks.database.transactions import is_inside_test_case, writing
from taskworks.models import Edge, RunState, Schedule, Step, TaskRun, UniqueKey, Worker, Workflow
from taskworks.models.run import TaskRunQuerySet
from taskworks.models.schedule import ScheduleQuerySet
from taskworks.models.worker import WorkerQuerySet
from taskworks.store.new_runs import NewRuns
from taskworks.store.ready_runs import ready
from taskworks.store.statements import (
    Change,
    Rows,
    bytes_of,
    own_columns,
    per_statement,
    rows_of,
)
from taskworks.wakeup.sender import wake

MAX_LOCK_WAIT = timedelta(seconds=1)  # that a worker's write waits for another session's lock
MAX_SILENCE_WITH_LOCKS = timedelta(seconds=10)  # then the database ends the transaction


class Base(ABC):
    """The tables of one database, and the statements that several verbs need."""

    can_notify = False  # whether the database can notify workers of new runs
    can_see_commits = False  # whether seeing commits costs next to nothing

    # What follows SELECT to lock rows against writes, and not against one another.
    shared_lock = ""

    rows_class = Rows

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.rows = rows_of(self.rows_class, alias)

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
    def workflows(self) -> "models.QuerySet[Workflow]":
        return Workflow.objects.using(self.alias)

    @property
    def steps(self) -> "models.QuerySet[Step]":
        return Step.objects.using(self.alias)

    @property
    def keys(self) -> "models.QuerySet[UniqueKey]":
        return UniqueKey.objects.using(self.alias)

    @property
    def schedules(self) -> ScheduleQuerySet:
        return Schedule.objects.using(self.alias)

    def read_clock(self) -> datetime:
        """Return the database's time, as Django would read it from a column."""
        return clock.read(self.connection)

    # Notify workers that there is something to claim; where nothing can, they look.

    def notify_workers(
        self,
        backend: str | None = None,
        queue_name: str | None = None,
        runs: NewRuns | Sequence[TaskRun] = (),
        *,
        count: int = 1,
        are_limited: bool = False,
    ) -> None:
        """
        Notify workers after the commit that so many runs of a queue, or of any queue, are ready;
        ``runs`` are these, if they are known.
        """
        # Who is told of a queue claims what is there without a limit, and looks no further.
        self._tell_on_commit(backend, None if are_limited else queue_name, self._tell)
        if messengers.in_use:
            messengers.tell_on_commit(self.connection, backend, queue_name, ready(runs), count)

    def _tell_on_commit(
        self, backend: str | None, queue_name: str | None, tell: Callable[[str], None]
    ) -> None:
        in_force = conf()
        if in_force.wakeup or (self.can_notify and in_force.notify):
            notification = Notification(self.alias, backend, queue_name, tell)
            notify_on_commit(notification, self.connection)

    def _tell(self, payload: str) -> None:
        """Send to workers at once, in each way that there is: one may work where another fails."""
        if conf().wakeup:
            wake(self.alias, payload)
        if self.can_notify and conf().notify:
            self.notify(payload)

    def notify(self, payload: str, channel: str | None = None) -> None:
        """Send a notification at once, by default on the workers' channel."""
        raise NotImplementedError(f"The database {self.alias!r} cannot send notifications.")

    def listener(self) -> Listener | None:
        """Return a listener for notifications; None if the database or settings rule it out."""
        return None

    def seeing_commits(self) -> AbstractContextManager[Callable[[], Any]]:
        """
        Give a function for this block, and this connection. What it returns has changed if another
        connection has committed since the last call.
        """
        raise NotImplementedError(f"The database {self.alias!r} does not show commits.")

    @property
    def _unlimited(self) -> str:
        """The SQL condition of runs without a limit, as their index has it."""
        return "lane IS NULL"

    @property
    def _limited(self) -> str:
        """That of runs with a limit."""
        return "lane IS NOT NULL"

    # Transactions.

    @property
    def sees_commits(self) -> bool:
        """
        Whether a plain read that follows a lock sees what others have committed until then. It does
        not in a more isolated transaction: that sees what was committed when it began. In a
        ``TestCase`` nobody else commits.
        """
        return is_inside_test_case(self.connection) or self._is_read_committed()

    def _is_read_committed(self) -> bool:
        return True  # SQLite refuses to write after a read that is not the latest

    def lock_to_write(self) -> None:  # noqa: B027 - most databases lock rows
        """
        Take the write lock in the caller's transaction, which may have begun without it and may not
        get it once it has read.
        """

    @contextmanager
    def locking(self, max_wait: timedelta | None = None) -> Iterator[None]:
        """
        Open a transaction that locks rows. Unless it is part of another one, the database ends it
        and frees its locks after MAX_SILENCE_WITH_LOCKS, so that nobody waits for a frozen process;
        and with ``max_wait``, what waits longer for a lock of another session raises an error, see
        ``is_lock_timeout``. SQLite waits as long as its connection does.
        """
        is_outermost = self.connection.get_autocommit()
        try:
            with writing(self.alias):
                if is_outermost:
                    self._limit_transaction(MAX_SILENCE_WITH_LOCKS, max_wait)
                yield
        finally:
            if is_outermost:
                self._lift_limits(max_wait)

    def _limit_transaction(  # noqa: B027 - not every database can
        self, silence: timedelta, wait: timedelta | None
    ) -> None:
        """
        Have the database end this transaction once it has been idle for ``silence``, and its
        statements once they have waited for a lock for ``wait``.
        """

    def _lift_limits(self, wait: timedelta | None) -> None:  # noqa: B027 - as above
        """Undo ``_limit_transaction`` where it has limited the session, which others use next."""

    def is_lock_timeout(self, error: DatabaseError) -> bool:
        """Return whether the error is a lock timeout of one of our statements."""
        return False

    # Insert runs, and write those that are still ours or unchanged since they were read.

    def _insert_all(self, new: NewRuns) -> None:
        """Insert runs whose times are set."""
        shared = self.rows.shared(new)
        shared_bytes = bytes_of(shared.values())
        batches = [*per_statement(self.rows.own(new), lambda row: bytes_of(row) + shared_bytes)]
        with writing(self.alias) if len(batches) > 1 else nullcontext():
            for own in batches:
                self._insert(shared, own_columns(new), own)

    def _delete(self, ids: Sequence[UUID], meant: TaskRunQuerySet) -> int:
        """Delete those of these rows that are meant and not locked; return how many."""
        with self.locking():
            free = self._lock_free_rows(ids)
            gone = list(meant.filter(id__in=free).values_list("id", flat=True)) if free else []
            return self._delete_by_key(TaskRun, gone)

    @abstractmethod
    def _insert(
        self, shared: dict[str, Any], columns: Sequence[str], own: Sequence[tuple[Any, ...]]
    ) -> None:
        """Insert runs: the values that they share, and the rows of their own, in ``columns``."""

    def _write(
        self,
        runs: Sequence[TaskRun],
        columns: Sequence[str],
        *,
        ends_claim: bool = False,
        cancel_wins: bool = False,
    ) -> set[UUID]:
        """
        Write these columns of the runs that are still ours; return the ids of these.

        ``ends_claim`` clears the columns of the claim. With ``cancel_wins``, a run whose
        cancellation was requested is written only if it is successful or cancelled.
        """
        if not runs:
            return set()
        change = self.rows.change(runs, columns, ends_claim=ends_claim, cancel_wins=cancel_wins)
        return self._apply(change)

    @abstractmethod
    def _apply(self, change: Change) -> set[UUID]:
        """Write a change; return the ids of the runs that were still ours."""

    def _cancelled(self, run: TaskRun, entry: Mapping[str, Any]) -> bool:
        """Cancel a run if nothing has happened to it since it was read; return whether it was."""
        requested = {"cancel_requested_at": self._first_cancel_request()}
        return self._ended(run, RunState.CANCELLED, entry, **requested)

    def _ended(self, run: TaskRun, state: RunState, entry: Mapping[str, Any], **more: Any) -> bool:
        """
        End a run in this state, with this entry in its errors, if nothing has happened to it since
        it was read; return whether it was ended.
        """
        now = self.read_clock()
        began = run.last_attempted_at if run.state == RunState.RUNNING else None
        errors = [*run.errors, self._error_entry(run.attempts, now, entry, began)]
        changes = {"state": state.value, "finished_at": now, "errors": errors}
        rows = self._unchanged(run)
        for name, value in changes.items():
            setattr(run, name, value)
        # Without the token, the worker that had it cannot finish it a second time.
        return bool(rows.update(claim_token=None, **changes, **more))

    @staticmethod
    def _error_entry(
        attempt: int, now: datetime, entry: Mapping[str, Any], began: datetime | None = None
    ) -> dict[str, Any]:
        """Return what is written into the errors of a run that no worker has ended."""
        times = {"began": began and began.isoformat(), "at": now.isoformat()}
        return {"attempt": attempt, **times, "worker_id": None, **entry}

    def _unchanged(self, run: TaskRun) -> TaskRunQuerySet:
        """Select the row, if nothing has happened to the run since it was read."""
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
        """Select those of a few rows that are in these states, without an index of states."""
        # MySQL and MariaDB lock every entry that they pass in an index, and prefer the index if the
        # table is small.
        return rows.alias(state_it_has=Concat("state", Value(""))).filter(state_it_has__in=states)

    @staticmethod
    def _first_cancel_request() -> Coalesce:
        """Return the time of the first request to cancel: now, if there was none before."""
        return Coalesce("cancel_requested_at", DatabaseClock())

    def _lock_free_rows(self, ids: Collection[UUID]) -> list[UUID]:
        """Lock those of these runs that no other session has locked; return their ids."""
        # By the primary key, with a column that no index has: MySQL and MariaDB lock whatever they
        # pass in another index, and would wait there for locks on other rows.
        rows = self.runs.filter(id__in=ids).select_for_update(skip_locked=True)
        return [run_id for run_id, _ in rows.values_list("id", "attempts")]

    def _delete_by_key(self, model: type[models.Model], keys: Collection[Any]) -> int:
        """Delete the rows with these primary keys; return how many there were."""
        rows = model._default_manager.using(self.alias).filter(pk__in=[*keys])
        return rows._raw_delete(self.alias) if keys else 0

    def _update_some(self, some: TaskRunQuerySet, limit: int, **changes: Any) -> int:
        """Update up to ``limit`` of these rows that are not locked elsewhere; return how many."""
        # Not in one statement: PostgreSQL may execute a locking subquery more than once.
        with self.locking():
            free = some.select_for_update(skip_locked=True).values_list("id", flat=True)
            ids = list(free[:limit])
            return self.runs.filter(id__in=ids).update(**changes) if ids else 0

    def _change_some(self, some: TaskRunQuerySet, limit: int, **changes: Any) -> list[TaskRun]:
        """As ``_update_some``, but return the runs as they were before."""
        with self.locking():
            runs = list(some.select_for_update(skip_locked=True)[:limit])
            self.runs.filter(id__in=[run.id for run in runs]).update(**changes)
        return runs

    def _end_some(
        self, some: TaskRunQuerySet, limit: int, end: Callable[[TaskRun], bool]
    ) -> list[TaskRun]:
        """End up to ``limit`` of these that no other session has locked; return those ended."""
        with self.locking():
            return [run for run in some.select_for_update(skip_locked=True)[:limit] if end(run)]

    def _notify_if_any(self, count: int) -> int:
        """Notify workers if runs have become ready; return the count."""
        if count:
            self.notify_workers(count=count)
        return count

    def _notify_queues_of(self, runs: Sequence[TaskRun], written: set[UUID]) -> set[UUID]:
        """Notify workers of the queues of the runs that were written."""
        of_queues = defaultdict[tuple[str, str, bool], list[TaskRun]](list)
        for run in runs:
            if run.id in written:
                of_queues[run.backend, run.queue_name, run.limit_name is not None].append(run)
        for (backend, name, are_limited), some in of_queues.items():
            self.notify_workers(backend, name, some, count=len(some), are_limited=are_limited)
        return written

    def _fetch(self, statement: str, parameters: Any) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall())

    def _quoted(self, model: type[models.Model]) -> str:
        return self.connection.ops.quote_name(model._meta.db_table)
