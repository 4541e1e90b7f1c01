"""
One call of a task of Celery's kind: the function that Taskworks executes in its place, which passes
``self``, gives arguments their types, and retries as the options say.
"""

import functools
import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from django.utils import timezone

from taskworks.celery.canvas_values import awith_results, with_results
from taskworks.celery.exceptions import MaxRetriesExceededError, Retry
from taskworks.celery.options import CeleryOptions, moment_of
from taskworks.celery.request import Request, executing, from_context
from taskworks.celery.values import decoded, encoded
from taskworks.exceptions import OutOfTime, TaskTimeout
from taskworks.retry import Retry as EngineRetry
from taskworks.retry import Snooze

if TYPE_CHECKING:
    from taskworks.celery.task import CeleryTask

Function = Callable[..., Any]

MOST_RETRIES_HERE = 1000
TIME_IS_UP = "The attempt took longer than its time limit."


def executed_by_workers(
    function: Function, options: CeleryOptions, task_of: Callable[[], "CeleryTask[..., Any]"]
) -> Function:
    """Return what workers call: it takes and returns JSON, and has the path of the function."""

    def opened(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple["CeleryTask", Request]:
        return task_of(), from_context(options.name, args, decoded(dict(kwargs)))

    @functools.wraps(function)
    def execute(*args: Any, **kwargs: Any) -> Any:
        return _kept(options, call(*opened(with_results(decoded([*args])), kwargs)))

    @functools.wraps(function)
    async def execute_async(*args: Any, **kwargs: Any) -> Any:
        return _kept(options, await acall(*opened(await awith_results(decoded([*args])), kwargs)))

    made: Any = execute_async if inspect.iscoroutinefunction(function) else execute
    made.__signature__ = signature_of(function, bind=options.bind)
    return made  # type: ignore[no-any-return]


def signature_of(function: Function, *, bind: bool) -> inspect.Signature:
    """Return the signature that callers see, who do not pass ``self``."""
    signature = inspect.signature(function)
    parameters = [*signature.parameters.values()]
    if not bind:
        return signature
    if not parameters or parameters[0].kind in {
        inspect.Parameter.KEYWORD_ONLY,
        inspect.Parameter.VAR_KEYWORD,
    }:
        raise TypeError(
            f"{function.__module__}.{function.__qualname__} has bind=True, and no first parameter "
            "for the task: def task(self, ...)."
        )
    if parameters[0].kind is inspect.Parameter.VAR_POSITIONAL:
        return signature
    return signature.replace(parameters=parameters[1:])


def call(task: "CeleryTask[..., Any]", request: Request) -> Any:
    """
    Call the task's function in this request. If nobody attempts it again later, because it is
    executed where it was called, that is done here, without waiting.
    """
    while True:
        try:
            with executing(request):
                return _called(task, request)
        except Retry:
            if not request.is_eager:
                raise
            request = _retried_here(request)


async def acall(task: "CeleryTask[..., Any]", request: Request) -> Any:
    """See call()."""
    while True:
        try:
            with executing(request):
                return await _acalled(task, request)
        except Retry:
            if not request.is_eager:
                raise
            request = _retried_here(request)


def _retried_here(request: Request) -> Request:
    """Return the request of the next attempt; raise RecursionError, as Celery does, for no end."""
    if request.retries >= MOST_RETRIES_HERE:
        raise RecursionError(
            f"{request.task} was retried {request.retries} times where it was called, without "
            "waiting, and has no max_retries that would end that."
        )
    return replace(request, retries=request.retries + 1)


def retry(
    task: "CeleryTask[..., Any]",
    exc: BaseException | None,
    when: float | datetime,
    max_retries: int | None,
    request: Request,
) -> NoReturn:
    """
    Raise Retry for another attempt at ``when``, a time or seconds from now. If there have been too
    many, raise the exception; without one, raise MaxRetriesExceededError.
    """
    if request.called_directly:
        raise exc or Retry(
            f"{task.name} was called as a function, outside of a run, so there is nothing to retry."
        )
    if max_retries is None or request.retries < max_retries:
        raise Retry(exc=exc, when=when) from exc or sys.exc_info()[1]
    request.gave_up = True
    raise exc or MaxRetriesExceededError(
        f"Can't retry {task.name}[{request.id}] args:{request.args} kwargs:{request.kwargs}",
        task_args=request.args,
        task_kwargs=request.kwargs,
    )


def seconds_until(eta: datetime) -> float:
    """Return the seconds until a moment, 0 if it is over."""
    return max(0.0, (moment_of(eta, "eta", "of retry()") - timezone.now()).total_seconds())


def _called(task: "CeleryTask[..., Any]", request: Request) -> Any:
    try:
        return task.run(*_given(task, request), **request.kwargs)
    except BaseException as error:
        again = _again(task, request, error)
        if again is None:
            raise
    raise again


async def _acalled(task: "CeleryTask[..., Any]", request: Request) -> Any:
    try:
        returned: Awaitable[Any] = task.run(*_given(task, request), **request.kwargs)
        return await returned
    except BaseException as error:
        again = _again(task, request, error)
        if again is None:
            raise
    raise again


def _given(task: "CeleryTask[..., Any]", request: Request) -> Sequence[Any]:
    return [task, *request.args] if task.celery.bind else request.args


def _again(
    task: "CeleryTask[..., Any]", request: Request, error: BaseException
) -> BaseException | None:
    """Return what is raised for another attempt; None if there is none."""
    if isinstance(error, EngineRetry | Snooze):
        return _without_interrupt(error)
    reason = TaskTimeout(TIME_IS_UP) if isinstance(error, OutOfTime) else error
    options = task.celery
    if request.called_directly or request.gave_up or not options.autoretries(reason, error):
        return None
    try:
        task.retry(exc=reason, **options.autoretry(request.retries))
    except EngineRetry as again:
        return _without_interrupt(again)
    except BaseException:  # noqa: BLE001 - there were enough retries
        return None


def _without_interrupt(error: BaseException) -> BaseException:
    """
    Return the exception without what was handled when it was raised, if that was the end of its
    time: what stems from an interruption means nothing else.
    """
    if isinstance(error.__context__, OutOfTime):
        error.__context__ = None
    if isinstance(error.__cause__, OutOfTime):
        error.__cause__ = TaskTimeout(TIME_IS_UP)
    return error


def _kept(options: CeleryOptions, returned: Any) -> Any:
    """Return what is stored of a result."""
    if options.ignore_result:
        return None
    try:
        return encoded(returned)
    except (TypeError, ValueError, RecursionError):
        return returned  # which is refused with the sentence for tasks that have done their work
