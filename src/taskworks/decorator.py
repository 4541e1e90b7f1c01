"""``@task``, which makes a function a ``Task``."""

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar, overload

from taskworks.context import TaskContext
from taskworks.definition import Classes, Duration, Task, refuse_reserved_metadata
from taskworks.framework import (
    DEFAULT_TASK_BACKEND_ALIAS,
    DEFAULT_TASK_PRIORITY,
    DEFAULT_TASK_QUEUE_NAME,
    task_backends,
)
from taskworks.options import declared_limits
from taskworks.options.limits import Limit
from taskworks.options.unique import Unique
from taskworks.retry import Backoff, BackoffFunction

P = ParamSpec("P")
R = TypeVar("R")
AnyTask = TypeVar("AnyTask", bound=Task[..., Any])


class _Decorator(Protocol):
    """The type of ``@task(...)`` without takes_context: keeps parameters and return type."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class _ContextDecorator(Protocol):
    """The same with takes_context=True: leaves out the context, which the worker passes."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[TaskContext, P], Coroutine[Any, Any, R]], /
    ) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[TaskContext, P], R], /) -> Task[P, R]: ...


@overload
def task(function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *,
    priority: int = ...,
    queue_name: str = ...,
    backend: str = ...,
    takes_context: Literal[True],
    typed: bool = ...,
    max_attempts: int | None = ...,
    backoff: Duration | Backoff | BackoffFunction | None = ...,
    retry_on: Classes | None = ...,
    give_up_on: Classes | None = ...,
    timeout: Duration | None = ...,
    expires: Duration | None = ...,
    executor: str | None = ...,
    delivery: str | None = ...,
    transactional: bool | None = ...,
    metadata: dict[str, Any] | None = ...,
    unique: Unique | None = ...,
    limit: Limit | str | None = ...,
    **options: Any,
) -> _ContextDecorator: ...
@overload
def task(
    *,
    priority: int = ...,
    queue_name: str = ...,
    backend: str = ...,
    takes_context: Literal[False] = ...,
    typed: bool = ...,
    max_attempts: int | None = ...,
    backoff: Duration | Backoff | BackoffFunction | None = ...,
    retry_on: Classes | None = ...,
    give_up_on: Classes | None = ...,
    timeout: Duration | None = ...,
    expires: Duration | None = ...,
    executor: str | None = ...,
    delivery: str | None = ...,
    transactional: bool | None = ...,
    metadata: dict[str, Any] | None = ...,
    unique: Unique | None = ...,
    limit: Limit | str | None = ...,
    **options: Any,
) -> _Decorator: ...
def task(
    function: Callable[..., Any] | None = None,
    *,
    priority: int = DEFAULT_TASK_PRIORITY,
    queue_name: str = DEFAULT_TASK_QUEUE_NAME,
    backend: str = DEFAULT_TASK_BACKEND_ALIAS,
    takes_context: bool = False,
    typed: bool = False,
    **options: Any,
) -> Any:
    """
    Make a module-level function a task. The arguments are the standard's and the options of
    ``Task``. With ``typed``, the annotations declare inputs and outputs, which are validated.

    Raise InvalidTask if the backend refuses the task, TypeError for an unknown option or for
    ``run_after``, which can only be set with ``using()``.
    """
    if "run_after" in options:
        raise TypeError(
            "run_after cannot be defined statically with the @task decorator. "
            "Use .using(run_after=...) to set it dynamically."
        )

    refuse_reserved_metadata(options)

    def define(function: Callable[..., Any]) -> Task[..., Any]:
        return defined(
            task_class(backend),
            _typed(function, takes_context) if typed else function,
            priority=priority,
            queue_name=queue_name,
            backend=backend,
            takes_context=takes_context,
            **options,
        )

    return define(function) if function else define


def defined(kind: type[AnyTask], function: Callable[..., Any], **options: Any) -> AnyTask:
    """Return a task of this class, whose limit is declared, or noted if it is a name."""
    task = kind(func=function, **options)
    if isinstance(task.limit, Limit):
        declared_limits.declare(task.limit)
    elif task.limit is not None:
        declared_limits.note_name(task.limit, task.module_path)
    return task


def _typed(function: Callable[..., Any], takes_context: bool) -> Callable[..., Any]:
    from taskworks.parameters.annotations import typed_function  # needs an extra

    return typed_function(function, takes_context)


def task_class(backend: str) -> type[Task]:
    """Return the class of this backend's tasks if it derives from ``Task``, else ``Task``."""
    task_class = task_backends[backend].task_class
    return task_class if issubclass(task_class, Task) else Task
