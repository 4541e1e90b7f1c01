"""How the runs of a request are enqueued: in its transaction, on its commit, or not at all."""

from contextlib import nullcontext
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from taskworks import framework
from taskworks.backends.database import DatabaseBackend
from taskworks.backends.immediate import ImmediateBackend
from taskworks.definition import policy_of, unvalidated_copy
from taskworks.exceptions import InvalidEndpoint
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS, TaskResultStatus, task_backends
from taskworks.result import TaskResult, as_our_result
from taskworks.store import store_alias

Result = TaskResult[..., Any]


class ToTheQueue:
    """
    Enqueues runs about a resource of this database, so that they exist if that commits: in its
    transaction if the tables are there, else on its commit. A transaction of the tables' own alias,
    if there is one, decides instead.
    """

    def __init__(self, using: str) -> None:
        self._backend: Any = task_backends[DEFAULT_TASK_BACKEND_ALIAS]
        tables = store_alias() if isinstance(self._backend, DatabaseBackend) else using
        self._alias = _decisive(using, tables)
        self._later = {"on_commit": True} if self._alias != tables else {}

    def all_or_none(self) -> Any:
        """What is enqueued within exists if all of it does."""
        return transaction.atomic(using=self._alias)

    def enqueue(self, task: framework.Task, args: list[Any], kwargs: dict[str, Any]) -> Result:
        """Enqueue a run."""
        backend = self._backend
        enqueue = backend.enqueue_on_commit if self._later else backend.enqueue
        return as_our_result(enqueue(task, args, kwargs))

    def enqueue_after(
        self, task: framework.Task, args: list[Any], kwargs: dict[str, Any], after: Result
    ) -> Result | None:
        """Enqueue a run that follows another; None if that was executed here, and has failed."""
        backend = self._backend
        if hasattr(backend, "enqueue_after"):
            result = backend.enqueue_after(task, args, kwargs, after, **self._later)
            return as_our_result(result) if result else None
        has_succeeded = after.status == TaskResultStatus.SUCCESSFUL
        if has_succeeded or isinstance(backend, framework.DummyBackend):
            return self.enqueue(task, args, kwargs)
        if isinstance(backend, framework.ImmediateBackend):
            return None
        raise InvalidEndpoint(
            f"the backend {backend.alias!r}, a {type(backend).__name__}, cannot have a run wait "
            "for another."
        )


class InTheRequest:
    """Executes what would be enqueued, and keeps nothing."""

    _backend = ImmediateBackend(DEFAULT_TASK_BACKEND_ALIAS, {"QUEUES": []})

    def __init__(self, using: str) -> None:
        self._using = using

    def all_or_none(self) -> Any:
        """Nothing to do: a failure is none of the request, nor of the other runs."""
        return nullcontext()

    def enqueue(self, task: framework.Task, args: list[Any], kwargs: dict[str, Any]) -> Result:
        """Execute a run."""
        return as_our_result(self._backend.enqueue(_here_and_now(task, self._using), args, kwargs))

    def enqueue_after(
        self, task: framework.Task, args: list[Any], kwargs: dict[str, Any], after: Result
    ) -> Result | None:
        """Execute a run that follows another; None if that has failed."""
        has_succeeded = after.status == TaskResultStatus.SUCCESSFUL
        return self.enqueue(task, args, kwargs) if has_succeeded else None


def _decisive(resource: str, tables: str) -> str:
    """The alias whose transaction decides whether there are runs."""
    if connections[tables].in_atomic_block:
        return tables
    if connections[resource].in_atomic_block or tables != DEFAULT_DB_ALIAS:
        return resource
    return tables


def _here_and_now(task: framework.Task, alias: str) -> framework.Task:
    """The task with all its attempts in one, since nobody comes back for another."""
    policy = policy_of(task)

    def execute(*args: Any, **kwargs: Any) -> None:
        for left in reversed(range(policy.max_attempts)):
            try:
                with _savepoint(alias):
                    task.call(*args, **kwargs)
                return
            except Exception as error:
                if not left or not policy.retries(error):
                    raise

    execute.__module__, execute.__qualname__ = task.func.__module__, task.func.__qualname__
    execute.__name__ = task.func.__name__
    return unvalidated_copy(task, func=execute)


def _savepoint(alias: str) -> Any:
    """So that what the database refuses does not spoil the request's transaction."""
    is_inside = connections[alias].in_atomic_block
    return transaction.atomic(using=alias) if is_inside else nullcontext()
