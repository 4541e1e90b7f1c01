"""Two ways to enqueue the runs of a request: for workers, or executed synchronously."""

from contextlib import nullcontext
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from taskworks import framework
from taskworks.backends.database import DatabaseBackend
from taskworks.backends.immediate import ImmediateBackend
from taskworks.database.transactions import writing
from taskworks.exceptions import InvalidEndpoint
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS, TaskResultStatus, task_backends
from taskworks.options.in_force import policy_of
from taskworks.result import TaskResult, as_our_result
from taskworks.task_copies import unvalidated_copy

Result = TaskResult[..., Any]


class BackgroundEnqueuer:
    """
    Enqueues runs for workers; they exist if the transaction of the resource's database commits.

    ``using``: the alias of that database. If Taskworks' tables are there too, runs are written in
    the transaction, otherwise when it commits. An open transaction of the tables' own database
    takes precedence.
    """

    def __init__(self, using: str) -> None:
        self._backend: Any = task_backends[DEFAULT_TASK_BACKEND_ALIAS]
        tables = self._backend.database if isinstance(self._backend, DatabaseBackend) else using
        self._alias = _deciding_alias(using, tables)
        self._on_commit = {"on_commit": True} if self._alias != tables else {}

    def all_or_none(self) -> Any:
        """Return a context manager: of the runs enqueued within it, all exist, or none."""
        return writing(self._alias)

    def enqueue(self, task: framework.Task, args: list[Any], kwargs: dict[str, Any]) -> Result:
        """Enqueue a run."""
        backend = self._backend
        enqueue = backend.enqueue_on_commit if self._on_commit else backend.enqueue
        return as_our_result(enqueue(task, args, kwargs))

    def enqueue_after(
        self, task: framework.Task, args: list[Any], kwargs: dict[str, Any], after: Result
    ) -> Result | None:
        """Enqueue a run that waits for ``after``; None if that was executed here and failed."""
        backend = self._backend
        if hasattr(backend, "enqueue_after"):
            result = backend.enqueue_after(task, args, kwargs, after, **self._on_commit)
            return as_our_result(result) if result else None
        has_succeeded = after.status == TaskResultStatus.SUCCESSFUL
        if has_succeeded or isinstance(backend, framework.DummyBackend):
            return self.enqueue(task, args, kwargs)
        if isinstance(backend, framework.ImmediateBackend):
            return None
        raise InvalidEndpoint(
            f"the backend {backend.alias!r}, a {type(backend).__name__}, cannot make a run wait "
            "for another."
        )


class SynchronousEnqueuer:
    """Executes runs in the request instead of enqueueing them; stores nothing."""

    _backend = ImmediateBackend(DEFAULT_TASK_BACKEND_ALIAS, {"QUEUES": []})

    def __init__(self, using: str) -> None:
        self._using = using

    def all_or_none(self) -> Any:
        """Return a context manager that does nothing: a failed run affects nothing else."""
        return nullcontext()

    def enqueue(self, task: framework.Task, args: list[Any], kwargs: dict[str, Any]) -> Result:
        """Execute a run."""
        immediate = _with_immediate_retries(task, self._using)
        return as_our_result(self._backend.enqueue(immediate, args, kwargs))

    def enqueue_after(
        self, task: framework.Task, args: list[Any], kwargs: dict[str, Any], after: Result
    ) -> Result | None:
        """Execute a run after ``after``; None if that failed."""
        has_succeeded = after.status == TaskResultStatus.SUCCESSFUL
        return self.enqueue(task, args, kwargs) if has_succeeded else None


def _deciding_alias(resource: str, tables: str) -> str:
    """Return the database alias whose transaction decides whether the runs exist."""
    if connections[tables].in_atomic_block:
        return tables
    if connections[resource].in_atomic_block or tables != DEFAULT_DB_ALIAS:
        return resource
    return tables


def _with_immediate_retries(task: framework.Task, alias: str) -> framework.Task:
    """Return the task with all its attempts in a single call."""
    policy = policy_of(task)

    def execute(*args: Any, **kwargs: Any) -> None:
        for attempts_left in reversed(range(policy.max_attempts)):
            try:
                with _savepoint(alias):
                    task.call(*args, **kwargs)
                return
            except Exception as error:
                if not attempts_left or not policy.retries(error):
                    raise

    execute.__module__, execute.__qualname__ = task.func.__module__, task.func.__qualname__
    execute.__name__ = task.func.__name__
    return unvalidated_copy(task, func=execute)


def _savepoint(alias: str) -> Any:
    # A database error would otherwise break the request's transaction.
    is_inside = connections[alias].in_atomic_block
    return transaction.atomic(using=alias) if is_inside else nullcontext()
