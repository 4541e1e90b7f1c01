"""``DatabaseBackend``: stores runs in the project's database, for workers to execute."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from django.apps import apps
from django.core.checks import CheckMessage
from django.db import transaction

from taskworks import instruments, jsonvalue
from taskworks.backends.enqueued_results import EnqueuedResults
from taskworks.backends.new_runs import MakesRuns
from taskworks.backends.refusals import (
    MAX_QUEUE_NAME,
    MAX_TASK_PATH,
    refuse_bad_name,
    refuse_bad_run_after,
)
from taskworks.backends.transactions import (
    refuse_to_wait_in_a_transaction,
    transaction_to_await,
)
from taskworks.backends.unique_tasks import (
    already_enqueued,
    keys_of,
    refuse_conflict_on_commit,
    refuse_to_replace_followers,
    unique_of,
    validate_period,
)
from taskworks.chunks import MAX_IDS_PER_QUERY, in_chunks
from taskworks.database.shards import DATABASE, valid_database
from taskworks.definition import Task
from taskworks.discovery import resolve
from taskworks.exceptions import (
    InvalidTask,
    TaskCancelled,
    TaskNotFound,
    TaskResultDoesNotExist,
)
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS, task_backends
from taskworks.framework import Task as StandardTask
from taskworks.installed import refuse_without_app
from taskworks.options.in_force import policy_of
from taskworks.options.policy import ALONE
from taskworks.result import TaskResult
from taskworks.signals import announce_cancelled, announce_enqueued
from taskworks.steps.names import validate_step_name
from taskworks.task_copies import as_enqueued, unvalidated_copy, with_absolute_run_after
from taskworks.tracebacks import entry_of

if TYPE_CHECKING:
    from taskworks.backends.workflows import Workflows
    from taskworks.models import TaskRun
    from taskworks.store.enqueueing import Once
    from taskworks.store.new_runs import NewRuns
    from taskworks.store.unique_runs import Standing

# Models are imported inside functions: @task creates its backend before the apps are loaded.


CANCELLATION_OF_WAITING_RUN = entry_of(TaskCancelled, "The run was cancelled before it began.")
CANCELLATION_OF_SUPERSEDED_RUN = entry_of(
    TaskCancelled, "A newer run with the same unique key has superseded it."
)


class _Predecessor(NamedTuple):
    """The run that a new one is to follow, in the same database."""

    run: UUID
    any_end: bool
    database: str

    def block(self, new: "NewRuns") -> None:
        """Store runs that are to follow it."""
        from taskworks.models import Edge
        from taskworks.store import store

        edges = [Edge(run=run, after=self.run, any_end=self.any_end) for run in new.uuids]
        store(self.database).block(new, edges)


class DatabaseBackend(MakesRuns):
    """
    Stores runs as rows of the project's database, in the caller's transaction: a run exists if and
    only if that commits. If a router, or ``OPTIONS["DATABASE"]``, puts the tables on another alias,
    runs are stored there when the caller's transaction commits, unless a transaction is open on
    that alias as well.
    """

    task_class = Task
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True
    supports_relative_run_after = True

    @property
    def database(self) -> str:
        """
        The alias of the database that has its runs. Raise ImproperlyConfigured for one that
        DATABASES does not have.
        """
        from taskworks.store import routed_alias

        return self._shard or routed_alias()

    @cached_property
    def _shard(self) -> str | None:
        return valid_database(self.alias, self.options.get(DATABASE))

    def validate_task(self, task: StandardTask) -> None:
        """
        Raise InvalidTask for a task that cannot be stored or executed, ImproperlyConfigured if the
        app is not installed.
        """
        if self._known_template_of(task):
            return
        if apps.ready:  # earlier, a check can still report it
            refuse_without_app()
        if not isinstance(task.priority, int | float) or task.priority != task.priority:
            raise InvalidTask("priority must be a whole number between -100 and 100.")
        refuse_bad_run_after(task.run_after)
        super().validate_task(with_absolute_run_after(task))
        refuse_bad_name("The queue name", task.queue_name, MAX_QUEUE_NAME)
        refuse_bad_name("The task's path", task.module_path, MAX_TASK_PATH)
        if unique := unique_of(task):
            validate_period(unique, task, self)

    def enqueue(self, task: StandardTask, args: Any, kwargs: Any) -> TaskResult:
        """
        Store a run, and return its result as it is now.

        Raise InvalidTask if the task is not valid, TypeError or ValueError for arguments that are
        not JSON. Then nothing is written.
        """
        [result] = self._enqueued(task, [(args, kwargs)], on_commit=False)
        return result

    def enqueue_many(
        self, task: StandardTask, arguments: Iterable[tuple[Any, Any]]
    ) -> Sequence[TaskResult]:
        """
        Store a run for each (args, kwargs) in one transaction; return results in the same order,
        each of which is made when it is first asked for.

        Raise what ``enqueue`` raises; the errors name the item. Then nothing is written.
        """
        return self._enqueued(task, arguments, on_commit=False, several=True)

    def enqueue_on_commit(self, task: StandardTask, args: Any, kwargs: Any) -> TaskResult:
        """
        Store a run when the caller's transaction commits: the one on the tables' alias, or else on
        another alias; at once if there is none. Raise what ``enqueue`` raises, immediately.
        """
        [result] = self._enqueued(task, [(args, kwargs)], on_commit=True)
        return result

    def enqueue_once(
        self, task: StandardTask, args: Any, kwargs: Any, once: "Once | None"
    ) -> tuple[TaskResult, bool]:
        """
        Store a run for its owner, unless one was stored with this key, if there is one. Return its
        result and True, or the result of the earlier run and False.

        Raise what ``enqueue`` raises, KeyUsedOtherwise, and AlreadyEnqueued if the task is unique
        and another owner's run stands.
        """
        from taskworks.store import store

        new = self.new_runs(task, [(args, kwargs)])
        results = EnqueuedResults(new, task, keys_of(task, new, several=False))

        def insert() -> UUID:
            self._insert(results, store(self.database).enqueue, only_own=True)
            return results.standing_ids[0]

        if once is None:
            insert()
        elif earlier := store(self.database).enqueue_once(new, once, insert):
            return earlier.to_result(), False
        [result] = self._announced(results)
        return result, result.is_new is not False

    def enqueue_after(
        self,
        task: StandardTask,
        args: Any,
        kwargs: Any,
        after: TaskResult,
        *,
        on_commit: bool = False,
        any_end: bool = False,
    ) -> TaskResult:
        """
        Store a run that becomes ready when another run in these tables has succeeded, or, with
        ``any_end``, has finished in any way; at once if it already has. A ``run_after`` must be a
        timedelta, which counts from then. Both may be stored in one transaction, or both on commit.
        If the other run never succeeds, this one waits until that is pruned, and is then cancelled.

        Raise what ``enqueue`` raises, and InvalidTask for a ``run_after`` that is a datetime.
        """
        if isinstance(task.run_after, datetime):
            raise InvalidTask("The run_after of a run that follows another must be a timedelta.")
        refuse_to_replace_followers(task)
        self._refuse_other_database(after)
        predecessor = _Predecessor(UUID(after.id), any_end, self.database)
        [result] = self._enqueued(task, [(args, kwargs)], on_commit=on_commit, after=predecessor)
        return result

    def run_from_elsewhere(
        self,
        task: StandardTask,
        args: Any,
        kwargs: Any,
        *,
        run_id: UUID,
        enqueued_at: datetime,
    ) -> "TaskRun":
        """
        Return a run that has waited in another package's queue, for the store to take over. Raise
        what ``enqueue`` raises. Nothing is written.
        """
        from taskworks.database.fields import decoded
        from taskworks.models import TaskRun

        new = self.new_runs(task, [(args, kwargs)])
        [texts] = new.texts
        return TaskRun(
            **new.template.columns,
            **dict(zip(("args", "kwargs"), map(decoded, texts), strict=True)),
            id=run_id,
            lane=new.lanes[0] if new.lanes else None,
            run_after=new.run_after,
            enqueued_at=enqueued_at,
        )

    def cancel(self, result_id: str) -> bool:
        """
        Cancel a run; return False if it had finished before.

        Raise TaskResultDoesNotExist for an id that is unknown or malformed.
        """
        from taskworks.models import RunState
        from taskworks.store import store

        run = self._run(result_id)
        state = store(self.database).cancel(run.id, CANCELLATION_OF_WAITING_RUN)
        if state == RunState.CANCELLED:
            run.refresh_from_db(using=self.database)
            announce_cancelled(type(self), run.to_result())
        return state is not None

    def retry(self, result_id: str, *, fresh: bool = False) -> bool:
        """
        Make a failed or cancelled run ready again, under its id; return False if it is neither.
        ``fresh`` forgets its steps, and the events that were sent to it.

        Raise TaskResultDoesNotExist for an id that is unknown or malformed.
        """
        from taskworks.store import store

        run = self._run(result_id)
        executor = _executor_of_task(run) if run.executor == ALONE else None
        return store(self.database).retry_member(run, executor, fresh=fresh)

    def send(self, result_id: str, name: str, value: Any) -> bool:
        """
        Send an event to a run; return whether it is the first with this name, and the run may still
        get it.

        Raise TypeError or ValueError for a value or a name that cannot be stored,
        TaskResultDoesNotExist for an id that is unknown or malformed.
        """
        from taskworks.store import store

        validate_step_name(name)
        stored = jsonvalue.round_trip(value, f"the value of event {name!r}")
        return store(self.database).send_event(self._run(result_id).id, name, stored)

    def get_result(self, result_id: str) -> TaskResult:
        """
        Return the result of a run of this backend, as it is now.

        Raise TaskResultDoesNotExist for an id that is unknown or malformed.
        """
        return self._run(result_id).to_result()

    def get_results(self, result_ids: Iterable[str]) -> dict[str, TaskResult]:
        """Return the results of these runs by id; those that do not exist are left out."""
        from taskworks.store import store

        return {
            str(run.id): run.to_result()
            for ids in in_chunks([*result_ids], MAX_IDS_PER_QUERY)
            for run in store(self.database).runs.filter(id__in=ids, backend=self.alias)
        }

    def finished_among(self, result_ids: Iterable[str]) -> set[str]:
        """
        Return the ids of those runs that have finished or no longer exist.

        Raise RuntimeError in a transaction on the tables' alias, which may not see any change.
        """
        from taskworks.models.run import FINISHED
        from taskworks.store import store

        refuse_to_wait_in_a_transaction(self.database)
        ids = [UUID(result_id) for result_id in result_ids]
        unfinished = {
            str(run_id)
            for chunk in in_chunks(ids, MAX_IDS_PER_QUERY)
            for run_id in store(self.database)
            .runs.filter(id__in=chunk, backend=self.alias)
            .exclude(state__in=FINISHED)
            .values_list("id", flat=True)
        }
        return {str(run_id) for run_id in ids} - unfinished

    @property
    def workflows(self) -> "Workflows":
        """What can be done with workflows."""
        from taskworks.backends.workflows import Workflows

        return Workflows(self)

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """Check the settings and the database of this backend."""
        from taskworks import checks

        return list(checks.check_backend(self.alias))

    def command_of_a_worker(self, queue_name: str) -> str:
        """Return the command that starts a worker which takes the runs of a queue."""
        backend = "" if self.alias == DEFAULT_TASK_BACKEND_ALIAS else f" --backend {self.alias}"
        return f"manage.py taskworks worker{backend} --queues {queue_name}"

    def _refuse_other_database(self, after: TaskResult) -> None:
        from taskworks.store import alias_for

        if (theirs := alias_for(after.backend)) != self.database:
            raise InvalidTask(
                f"A run cannot follow one in another database: those of the backend {self.alias!r} "
                f"are in {self.database!r}, and the run {after.id} of {after.backend!r} is in "
                f"{theirs!r}."
            )

    def _run(self, result_id: str) -> "TaskRun":
        from taskworks.models import TaskRun
        from taskworks.store import store

        try:
            return store(self.database).runs.get(id=UUID(str(result_id)), backend=self.alias)
        except (ValueError, TaskRun.DoesNotExist):
            raise TaskResultDoesNotExist(result_id) from None

    def _enqueued(
        self,
        task: StandardTask,
        arguments: Iterable[tuple[Any, Any]],
        *,
        on_commit: bool,
        several: bool = False,
        after: _Predecessor | None = None,
    ) -> EnqueuedResults:
        """Validate all items, then store all runs, now or on commit."""
        new = self.new_runs(task, arguments, several=several)
        results = EnqueuedResults(new, task, keys_of(task, new, several=several))
        if not new:
            return results
        if alias := transaction_to_await(self.database, wanted=on_commit):
            refuse_conflict_on_commit(task)
            results.task = unvalidated_copy(task, run_after=None) if new.delay else task
            store = partial(self._store, results, after)
            transaction.on_commit(instruments.here(store), using=alias)
        else:
            self._store(results, after)
        return results

    def _store(self, results: EnqueuedResults, after: _Predecessor | None) -> None:
        from taskworks.store import store

        insert = store(self.database).enqueue if after is None else after.block
        self._insert(results, insert)
        self._announced(results)

    def _insert(
        self,
        results: EnqueuedResults,
        insert: "Callable[[NewRuns], None]",
        *,
        only_own: bool = False,
    ) -> None:
        """Insert the runs, those with unique keys only if none stands."""
        if results.keys is None:
            insert(results.runs)
        else:
            results.settle(self._stored_uniquely(results, insert, only_own=only_own))

    def _stored_uniquely(
        self, results: EnqueuedResults, insert: "Callable[[NewRuns], None]", *, only_own: bool
    ) -> "Standing":
        from taskworks.store import store
        from taskworks.store.unique_runs import Call, KeyHeld

        unique: Any = unique_of(results.task)
        entry = CANCELLATION_OF_SUPERSEDED_RUN
        call = Call(results.runs, results.keys or [], unique, entry, only_own)
        try:
            return store(self.database).enqueue_unique(call, insert)
        except KeyHeld as held:
            raise already_enqueued(held, several=len(results) > 1) from None

    def _announced(self, results: EnqueuedResults) -> EnqueuedResults:
        """Return the results of stored runs, and send ``task_enqueued``."""
        new = results.runs
        results.take_over(
            as_enqueued(results.task, run_after=new.run_after, backend=self.alias),
            new.enqueued_at,
        )
        announce_enqueued(type(self), results.of_new_runs)
        for superseded in self._superseded_by(results):
            announce_cancelled(type(self), superseded)
        return results

    def _superseded_by(self, results: EnqueuedResults) -> list[TaskResult]:
        ids = results.standing.cancelled if results.standing else []
        return [*self.get_results(map(str, ids)).values()] if ids else []


def database_backends() -> list[DatabaseBackend]:
    """Return those in TASKS that store runs."""
    backends = [task_backends[alias] for alias in task_backends]
    return [backend for backend in backends if isinstance(backend, DatabaseBackend)]


def _executor_of_task(run: "TaskRun") -> str | None:
    """Return the executor of the run's task, instead of ALONE; None if it cannot be imported."""
    try:
        return policy_of(run.enqueued(resolve(run.task_path))).executor
    except (TaskNotFound, InvalidTask):
        return None
