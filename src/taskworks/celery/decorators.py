"""``shared_task`` and ``App.task``."""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Concatenate, Literal, NoReturn, ParamSpec, Protocol, TypeVar, overload

from taskworks.celery.names import register
from taskworks.celery.not_carried import INSTEAD, not_carried
from taskworks.celery.options import of_task
from taskworks.celery.result import AsyncResult
from taskworks.celery.task import CeleryTask, made_of
from taskworks.options.limits import Limit
from taskworks.options.unique import Unique

P = ParamSpec("P")
R = TypeVar("R")

Classes = type[BaseException] | Iterable[type[BaseException]]


class _Decorator(Protocol):
    """The type of ``@shared_task(...)``: keeps parameters and return type."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> CeleryTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> CeleryTask[P, R]: ...


class _BindingDecorator(Protocol):
    """The same with bind=True: leaves out ``self``, which the worker passes."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /
    ) -> CeleryTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], R], /) -> CeleryTask[P, R]: ...


@overload
def shared_task(function: Callable[P, Coroutine[Any, Any, R]], /) -> CeleryTask[P, R]: ...
@overload
def shared_task(function: Callable[P, R], /) -> CeleryTask[P, R]: ...
@overload
def shared_task(
    *,
    bind: Literal[True],
    name: str | None = ...,
    max_retries: int | None = ...,
    default_retry_delay: float | None = ...,
    autoretry_for: Classes | None = ...,
    dont_autoretry_for: Classes | None = ...,
    retry_kwargs: Mapping[str, Any] | None = ...,
    retry_backoff: bool | float | None = ...,
    retry_backoff_max: float | None = ...,
    retry_jitter: bool | None = ...,
    soft_time_limit: float | None = ...,
    time_limit: float | None = ...,
    ignore_result: bool | None = ...,
    queue: str | None = ...,
    priority: int | None = ...,
    expires: float | None = ...,
    delivery: str | None = ...,
    unique: Unique | None = ...,
    limit: Limit | str | None = ...,
    **options: Any,
) -> _BindingDecorator: ...
@overload
def shared_task(
    *,
    bind: Literal[False] = ...,
    name: str | None = ...,
    max_retries: int | None = ...,
    default_retry_delay: float | None = ...,
    autoretry_for: Classes | None = ...,
    dont_autoretry_for: Classes | None = ...,
    retry_kwargs: Mapping[str, Any] | None = ...,
    retry_backoff: bool | float | None = ...,
    retry_backoff_max: float | None = ...,
    retry_jitter: bool | None = ...,
    soft_time_limit: float | None = ...,
    time_limit: float | None = ...,
    ignore_result: bool | None = ...,
    queue: str | None = ...,
    priority: int | None = ...,
    expires: float | None = ...,
    delivery: str | None = ...,
    unique: Unique | None = ...,
    limit: Limit | str | None = ...,
    **options: Any,
) -> _Decorator: ...
def shared_task(function: Any = None, /, **options: Any) -> Any:
    """
    Make a module-level function a task, with the options of Celery's decorator of this name, and
    ``delivery``, ``executor``, ``transactional``, ``unique``, ``limit`` and ``metadata`` of ours.

    Raise NotCarried, a TypeError, for an option that is not carried; TypeError for an unknown one,
    for a bad value, and for a name that another function has; InvalidTask if the backend refuses
    the task.
    """

    def define(function: Callable[..., Any]) -> CeleryTask[..., Any]:
        if isinstance(function, CeleryTask):
            raise TypeError(f"@shared_task is applied to {function.name} more than once.")
        task = made_of(function, *of_task(function, options))
        register(task)
        return task

    if function is None:
        return define
    if not callable(function):
        raise TypeError(f"@shared_task takes its options by name, not {function!r}.")
    return define(function)


class App:
    """What stands in the place of a Celery app, for projects with ``@app.task``."""

    def __init__(self, main: str | None = None) -> None:
        self.main = main
        self.task = shared_task
        self.AsyncResult = AsyncResult

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_") or name not in {*INSTEAD, *OF_APPS}:
            raise AttributeError(f"An App has no attribute {name!r}.")
        raise not_carried(f"App.{name}", "App")


OF_APPS = ("conf", "config_from_object", "autodiscover_tasks", "send_task", "control", "tasks")
