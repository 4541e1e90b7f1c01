"""The backend that stores runs in the project's database, for ``manage.py taskworks worker``."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.checks import CheckMessage

from taskworks import jsonvalue
from taskworks.exceptions import InvalidTask, TaskNotFound, TaskResultDoesNotExist
from taskworks.framework import BaseTaskBackend, TaskResult
from taskworks.framework import Task as StandardTask
from taskworks.signals import task_enqueued
from taskworks.task import Task, copied, resolve, settled

# Models are imported inside methods: @task makes its backend before the app registry is ready.

MAX_ALIAS = 64
MAX_QUEUE_NAME = 128
MAX_TASK_PATH = 512


class DatabaseBackend(BaseTaskBackend):
    """
    Runs are rows of the project's database, written in the caller's transaction: a run exists if
    and only if that commits. Where a router puts the tables on another alias, it is that alias's
    transaction.
    """

    task_class = Task
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True
    supports_relative_run_after = True

    def validate_task(self, task: StandardTask) -> None:
        """Raise InvalidTask, in a sentence, for a task that could not be stored or executed."""
        if not isinstance(task.priority, int | float) or task.priority != task.priority:
            raise InvalidTask("priority must be a whole number between -100 and 100.")
        _validate_run_after(task.run_after)
        super().validate_task(settled(task))
        _validate_name("The queue name", task.queue_name, MAX_QUEUE_NAME)
        _validate_name("The task's path", task.module_path, MAX_TASK_PATH)

    def enqueue(self, task: StandardTask, args: Any, kwargs: Any) -> TaskResult:
        """
        Store a run, and return its result as it is now.

        Raise InvalidTask for the task, TypeError or ValueError for arguments that are no JSON;
        nothing is written then.
        """
        self.validate_task(task)
        _validate_path(task)
        _validate_name("The backend's alias", self.alias, MAX_ALIAS)
        return self._stored(
            task,
            jsonvalue.round_trip(list(args), "args"),
            jsonvalue.round_trip(dict(kwargs), "kwargs"),
        )

    def get_result(self, result_id: str) -> TaskResult:
        """
        The result of a run of this backend, as it is now.

        Raise TaskResultDoesNotExist for an id that is unknown or malformed.
        """
        from taskworks.models import TaskRun
        from taskworks.store import store

        try:
            run = store().runs.get(id=UUID(str(result_id)), backend=self.alias)
        except (ValueError, TaskRun.DoesNotExist):
            raise TaskResultDoesNotExist(result_id) from None
        return run.to_result()

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """What is wrong with the project's settings for this backend."""
        from taskworks import checks

        return list(checks.check_backend(self.alias))

    def _stored(self, task: StandardTask, args: list[Any], kwargs: dict[str, Any]) -> TaskResult:
        from taskworks.models import TaskRun
        from taskworks.store import store

        delay = task.run_after if isinstance(task.run_after, timedelta) else None
        run = TaskRun(
            backend=self.alias,
            queue_name=task.queue_name,
            task_path=task.module_path,
            args=args,
            kwargs=kwargs,
            rank=-int(task.priority),
            run_after=None if delay is not None else task.run_after,
        )
        store().enqueue([run], delay)
        result = run.to_result(copied(task, run_after=run.run_after, backend=self.alias))
        task_enqueued.send_robust(type(self), task_result=result)
        return result


def _validate_run_after(run_after: Any) -> None:
    if not isinstance(run_after, datetime | timedelta | None):
        raise InvalidTask(
            f"run_after must be a datetime, a timedelta or None, not {type(run_after).__name__}."
        )
    if isinstance(run_after, datetime) and run_after.tzinfo:
        try:
            run_after.astimezone(UTC)
        except OverflowError:
            raise InvalidTask(f"run_after is out of range: {run_after}.") from None


def _validate_name(what: str, name: Any, limit: int) -> None:
    fits = isinstance(name, str) and 0 < len(name) <= limit and name.isprintable()
    if not fits or name != name.strip():
        raise InvalidTask(
            f"{what} must be 1 to {limit} printable characters without space around them, "
            f"not {name!r}."
        )


def _validate_path(task: StandardTask) -> None:
    """A worker finds the task by its path alone, so it must lead back to this very function."""
    path = task.module_path
    try:
        found = resolve(path)
    except TaskNotFound as error:
        raise InvalidTask(
            f"No worker could import {path!r}: {error.reason}. Define the task in an importable "
            "module, under the name of its function."
        ) from error
    if found.func is not task.func or path.startswith("__main__."):
        raise InvalidTask(
            f"No worker could find this task: {path!r} is something else there. Define the task "
            "in an importable module, under the name of its function."
        )
