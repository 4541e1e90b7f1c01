"""The classes of the standard: a task, its result, errors and context."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import partial
from inspect import isclass, iscoroutinefunction
from typing import TYPE_CHECKING, Any, Self, overload

from asgiref.sync import async_to_sync, sync_to_async
from django.db.models.enums import TextChoices
from django.utils.module_loading import import_string
from django.utils.translation import pgettext_lazy

from .exceptions import TaskResultMismatch
from .jsonable import normalize_json

if TYPE_CHECKING:
    from .backends.base import BaseTaskBackend

DEFAULT_TASK_BACKEND_ALIAS = "default"
DEFAULT_TASK_PRIORITY = 0
DEFAULT_TASK_QUEUE_NAME = "default"
TASK_MAX_PRIORITY = 100
TASK_MIN_PRIORITY = -100
TASK_REFRESH_ATTRS = {
    "errors",
    "_return_value",
    "finished_at",
    "started_at",
    "last_attempted_at",
    "status",
    "enqueued_at",
    "worker_ids",
}


class TaskResultStatus(TextChoices):
    """The status of a run."""

    # Enqueued, or to be executed again.
    READY = ("READY", pgettext_lazy("Task", "Ready"))
    # Being executed.
    RUNNING = ("RUNNING", pgettext_lazy("Task", "Running"))
    # Ended by an exception, or could not be started.
    FAILED = ("FAILED", pgettext_lazy("Task", "Failed"))
    # Ended successfully.
    SUCCESSFUL = ("SUCCESSFUL", pgettext_lazy("Task", "Successful"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A function, and the options with which it is enqueued. Immutable."""

    func: Callable[..., Any]  # The function to call.
    priority: int = DEFAULT_TASK_PRIORITY
    backend: str = DEFAULT_TASK_BACKEND_ALIAS
    queue_name: str = DEFAULT_TASK_QUEUE_NAME
    run_after: datetime | None = None  # The earliest time.

    # Whether the function takes a TaskContext as its first argument.
    takes_context: bool = False

    def __post_init__(self) -> None:
        self.get_backend().validate_task(self)

    @classmethod
    def _reconstruct(cls, kwargs: dict[str, Any]) -> Self:
        """Create the task from fields in which `func` is the dotted path of the task."""
        func_path = kwargs["func"]
        try:
            kwargs["func"] = import_string(func_path).func
        except (ImportError, AttributeError) as error:
            raise ValueError(f"Expected {func_path!r} to point to a Task instance.") from error
        return cls(**kwargs)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[dict[str, Any]]]:
        # Pickle finds a function by its name, which leads to this task.
        kwargs = {f.name: getattr(self, f.name) for f in fields(self)}
        kwargs["func"] = self.module_path
        return (self.__class__._reconstruct, (kwargs,))

    @property
    def name(self) -> str:
        """The name of the function, without its module."""
        return self.func.__name__

    def using(
        self,
        *,
        priority: int | None = None,
        queue_name: str | None = None,
        run_after: datetime | None = None,
        backend: str | None = None,
    ) -> Self:
        """Return a copy with these options."""
        options = {
            "priority": priority,
            "queue_name": queue_name,
            "run_after": run_after,
            "backend": backend,
        }
        changes: dict[str, Any] = {
            name: value for name, value in options.items() if value is not None
        }
        return replace(self, **changes)

    def enqueue(self, /, *args: Any, **kwargs: Any) -> "TaskResult":
        """Enqueue a run of the task with these arguments."""
        return self.get_backend().enqueue(self, args, kwargs)

    async def aenqueue(self, /, *args: Any, **kwargs: Any) -> "TaskResult":
        """See enqueue()."""
        return await self.get_backend().aenqueue(self, args, kwargs)

    def get_result(self, result_id: str) -> "TaskResult":
        """Return the result with this id.

        Raise TaskResultDoesNotExist if there is none, and TaskResultMismatch if it is
        another task's.
        """
        return self._require_own(self.get_backend().get_result(result_id))

    async def aget_result(self, result_id: str) -> "TaskResult":
        """See get_result()."""
        return self._require_own(await self.get_backend().aget_result(result_id))

    def _require_own(self, result: "TaskResult") -> "TaskResult":
        if result.task.func != self.func:
            raise TaskResultMismatch(f"Task does not match (received {result.task.module_path!r})")
        return result

    def call(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function immediately, whether it is async or not."""
        if iscoroutinefunction(self.func):
            return async_to_sync(partial(self.func, *args, **kwargs))()
        return self.func(*args, **kwargs)

    async def acall(self, /, *args: Any, **kwargs: Any) -> Any:
        """See call()."""
        if iscoroutinefunction(self.func):
            return await self.func(*args, **kwargs)
        return await sync_to_async(partial(self.func, *args, **kwargs))()

    def get_backend(self) -> "BaseTaskBackend":
        """Return the backend with this task's alias."""
        from . import task_backends

        return task_backends[self.backend]

    @property
    def module_path(self) -> str:
        """The dotted path under which the task can be imported."""
        return f"{self.func.__module__}.{self.func.__qualname__}"


@overload
def task(
    function: Callable[..., Any],
    *,
    priority: int = ...,
    queue_name: str = ...,
    backend: str = ...,
    takes_context: bool = ...,
    **kwargs: Any,
) -> Task: ...


@overload
def task(
    function: None = None,
    *,
    priority: int = ...,
    queue_name: str = ...,
    backend: str = ...,
    takes_context: bool = ...,
    **kwargs: Any,
) -> Callable[[Callable[..., Any]], Task]: ...


def task(
    function: Callable[..., Any] | None = None,
    *,
    priority: int = DEFAULT_TASK_PRIORITY,
    queue_name: str = DEFAULT_TASK_QUEUE_NAME,
    backend: str = DEFAULT_TASK_BACKEND_ALIAS,
    takes_context: bool = False,
    **kwargs: Any,
) -> Task | Callable[[Callable[..., Any]], Task]:
    """Make a module-level function a task. Other options are those of the task class."""
    from . import task_backends

    if "run_after" in kwargs:
        raise TypeError(
            "run_after cannot be defined statically with the @task decorator. "
            "Use .using(run_after=...) to set it dynamically."
        )

    def wrapper(func: Callable[..., Any]) -> Task:
        return task_backends[backend].task_class(
            func=func,
            priority=priority,
            queue_name=queue_name,
            backend=backend,
            takes_context=takes_context,
            **kwargs,
        )

    return wrapper(function) if function else wrapper


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskError:
    """An exception that ended an attempt, as text."""

    exception_class_path: str
    traceback: str

    @property
    def exception_class(self) -> type[BaseException]:
        """The class of the exception, imported now."""
        exception_class = import_string(self.exception_class_path)
        if not isclass(exception_class) or not issubclass(exception_class, BaseException):
            raise ValueError(f"{self.exception_class_path!r} does not reference a valid exception.")
        return exception_class


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """A snapshot of a run."""

    task: Task

    id: str  # Unique in the backend.
    status: TaskResultStatus
    enqueued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None

    # When the latest attempt began.
    last_attempted_at: datetime | None

    args: list[Any]
    kwargs: dict[str, Any]
    backend: str  # The alias in TASKS.
    errors: list[TaskError]  # One for each failed attempt.
    worker_ids: list[str]  # One for each attempt.

    _return_value: Any | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._write(args=normalize_json(self.args), kwargs=normalize_json(self.kwargs))

    @property
    def return_value(self) -> Any:
        """The return value of the task. Raise ValueError unless the run was successful.

        None therefore always means that the task returned None.
        """
        if self.status == TaskResultStatus.SUCCESSFUL:
            return self._return_value
        if self.status == TaskResultStatus.FAILED:
            raise ValueError("Task failed")
        raise ValueError("Task has not finished yet")

    @property
    def is_finished(self) -> bool:
        """True if the run has ended, successfully or not."""
        return self.status in {TaskResultStatus.FAILED, TaskResultStatus.SUCCESSFUL}

    @property
    def attempts(self) -> int:
        """The number of attempts, including a running one."""
        return len(self.worker_ids)

    def refresh(self) -> None:
        """Read the run again from its backend."""
        self._take_over(self.task.get_backend().get_result(self.id))

    async def arefresh(self) -> None:
        """See refresh()."""
        self._take_over(await self.task.get_backend().aget_result(self.id))

    def _take_over(self, latest: "TaskResult") -> None:
        self._write(**{attr: getattr(latest, attr) for attr in TASK_REFRESH_ATTRS})

    def _write(self, **values: Any) -> None:
        """Set fields although the class is frozen, which is meant for users, not for backends."""
        for name, value in values.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext:
    """The context of a task: its own run."""

    task_result: TaskResult

    @property
    def attempt(self) -> int:
        """The number of this attempt; the first is 1."""
        return self.task_result.attempts
