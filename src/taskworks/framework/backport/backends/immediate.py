"""The backend without a worker: enqueue() executes the task and returns its result."""

from collections.abc import Sequence
from traceback import format_exception
from typing import Any

from django.utils import timezone
from django.utils.crypto import get_random_string

from ..base import Task, TaskContext, TaskError, TaskResult, TaskResultStatus
from ..jsonable import normalize_json
from ..signals import task_enqueued, task_finished, task_started
from .base import BaseTaskBackend


class ImmediateBackend(BaseTaskBackend):
    """Executes each run at once, in the caller's thread."""

    supports_async_task = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self.worker_id = get_random_string(32)

    def enqueue(self, task: Task, args: Sequence[Any], kwargs: dict[str, Any]) -> TaskResult:
        """Execute the task; an exception is stored in the result."""
        self.validate_task(task)
        result = self._new_result(task, args, kwargs)
        self._execute_task(result)
        return result

    def _execute_task(self, result: TaskResult) -> None:
        """Execute the run, and update its result at each step."""
        self._announce(result)
        self._start(result)
        try:
            result._write(_return_value=normalize_json(_call(result)))
        except KeyboardInterrupt:
            # Ctrl-C is meant for this process, not for the task.
            raise
        except BaseException as error:  # noqa: BLE001 - a task may raise anything
            # Inside the handler, so that receivers of the signal have the traceback.
            result.errors.append(_describe(error))
            self._finish(result, TaskResultStatus.FAILED)
        else:
            self._finish(result, TaskResultStatus.SUCCESSFUL)

    def _announce(self, result: TaskResult) -> None:
        result._write(enqueued_at=timezone.now())
        task_enqueued.send(type(self), task_result=result)

    def _start(self, result: TaskResult) -> None:
        now = timezone.now()
        result._write(status=TaskResultStatus.RUNNING, started_at=now, last_attempted_at=now)
        result.worker_ids.append(self.worker_id)
        task_started.send(type(self), task_result=result)

    def _finish(self, result: TaskResult, status: TaskResultStatus) -> None:
        result._write(finished_at=timezone.now(), status=status)
        task_finished.send(type(self), task_result=result)


def _call(result: TaskResult) -> Any:
    task = result.task
    context = [TaskContext(task_result=result)] if task.takes_context else []
    return task.call(*context, *result.args, **result.kwargs)


def _describe(error: BaseException) -> TaskError:
    kind = type(error)
    return TaskError(
        exception_class_path=f"{kind.__module__}.{kind.__qualname__}",
        traceback="".join(format_exception(error)),
    )
