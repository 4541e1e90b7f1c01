"""The base class of backends, which validates tasks."""

from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from inspect import iscoroutinefunction, isfunction
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.checks import CheckMessage
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.utils.inspect import get_func_args

from ..base import (
    DEFAULT_TASK_PRIORITY,
    DEFAULT_TASK_QUEUE_NAME,
    TASK_MAX_PRIORITY,
    TASK_MIN_PRIORITY,
    Task,
    TaskResult,
    TaskResultStatus,
)
from ..exceptions import InvalidTask


class BaseTaskBackend(metaclass=ABCMeta):
    """The base class of backends. A subclass defines enqueue() and what it supports."""

    task_class: type[Task] = Task

    # Is `run_after` supported?
    supports_defer = False

    # Can the function be a coroutine function?
    supports_async_task = False

    # Can a result be read again, in any thread or process?
    supports_get_result = False

    # Do runs with a higher priority run first?
    supports_priority = False

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        self.alias = alias
        self.queues = set(params.get("QUEUES", [DEFAULT_TASK_QUEUE_NAME]))
        self.options: dict[str, Any] = params.get("OPTIONS", {})

    def validate_task(self, task: Task) -> None:
        """Raise InvalidTask if this backend cannot execute the task."""
        self._validate_function(task)
        self._validate_priority(task)
        self._validate_run_after(task)
        if self.queues and task.queue_name not in self.queues:
            raise InvalidTask(f"Queue '{task.queue_name}' is not valid for backend.")

    def _validate_function(self, task: Task) -> None:
        if not _is_module_level_function(task.func):
            raise InvalidTask("Task function must be defined at a module level.")
        if not self.supports_async_task and iscoroutinefunction(task.func):
            raise InvalidTask("Backend does not support async Tasks.")
        if task.takes_context and get_func_args(task.func)[:1] != ["context"]:
            raise InvalidTask("Task takes context but does not have a first argument of 'context'.")

    def _validate_priority(self, task: Task) -> None:
        if not self.supports_priority and task.priority != DEFAULT_TASK_PRIORITY:
            raise InvalidTask("Backend does not support setting priority of tasks.")
        in_range = TASK_MIN_PRIORITY <= task.priority <= TASK_MAX_PRIORITY
        if not in_range or int(task.priority) != task.priority:
            raise InvalidTask(
                f"priority must be a whole number between {TASK_MIN_PRIORITY} and "
                f"{TASK_MAX_PRIORITY}."
            )

    def _validate_run_after(self, task: Task) -> None:
        if task.run_after is None:
            return
        if not self.supports_defer:
            raise InvalidTask("Backend does not support run_after.")
        if settings.USE_TZ and not timezone.is_aware(task.run_after):
            raise InvalidTask("run_after must be an aware datetime.")

    def _new_result(self, task: Task, args: Sequence[Any], kwargs: dict[str, Any]) -> TaskResult:
        """Return the result of a new run."""
        return TaskResult(
            task=task,
            id=get_random_string(32),
            status=TaskResultStatus.READY,
            enqueued_at=None,
            started_at=None,
            last_attempted_at=None,
            finished_at=None,
            args=cast("list[Any]", args),  # TaskResult itself makes it a list.
            kwargs=kwargs,
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )

    @abstractmethod
    def enqueue(self, task: Task, args: Sequence[Any], kwargs: dict[str, Any]) -> TaskResult:
        """Enqueue a run of the task with these arguments."""

    async def aenqueue(self, task: Task, args: Sequence[Any], kwargs: dict[str, Any]) -> TaskResult:
        """See enqueue()."""
        return await sync_to_async(self.enqueue, thread_sensitive=True)(
            task=task, args=args, kwargs=kwargs
        )

    def get_result(self, result_id: str) -> TaskResult:
        """Return the result with this id. Raise TaskResultDoesNotExist if there is none."""
        raise NotImplementedError("This backend does not support retrieving or refreshing results.")

    async def aget_result(self, result_id: str) -> TaskResult:
        """See get_result()."""
        return await sync_to_async(self.get_result, thread_sensitive=True)(result_id=result_id)

    def check(self, **kwargs: Any) -> Iterable[CheckMessage]:
        """Return the messages of the system check of this backend."""
        return []


def _is_module_level_function(func: Callable[..., Any]) -> bool:
    return isfunction(func) and "<locals>" not in func.__qualname__
