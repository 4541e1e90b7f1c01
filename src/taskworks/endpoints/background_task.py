"""What a worker executes for a deferrable task: a task of the standard, at the method's path."""

import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from taskworks import framework
from taskworks.context import current_context
from taskworks.definition import task_class
from taskworks.endpoints.endpoint_tasks import DeferrableEndpointTask
from taskworks.endpoints.resource import Reference, afetched, fetched
from taskworks.exceptions import InvalidEndpoint, InvalidTask, ResourceNotFound
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS, DEFAULT_TASK_QUEUE_NAME
from taskworks.retry import Backoff, Snooze

BACKOFF = Backoff(initial=1.0)  # 1, 2, 4, 8 ... seconds
# So long after it was enqueued the row of a resource may be late: a replica may be.
PATIENCE = timedelta(seconds=10)
LOOK_AGAIN_AFTER = 1.0  # seconds


def run_of(endpoint: type, task: DeferrableEndpointTask, *, is_followed: bool) -> framework.Task:
    """
    The task of the standard that is enqueued for this one; raise InvalidEndpoint if no worker
    could find it, or the backend refuses it.
    """
    _validate_place(endpoint, task)
    is_coroutine = inspect.iscoroutinefunction(task.function)
    make = _coroutine_function if is_coroutine else _function
    name = f"{endpoint.__qualname__}.{task.name}"
    function: Any = make(endpoint, task, name)
    function.__module__, function.__qualname__ = endpoint.__module__, name
    function.__name__, function.__doc__ = task.name, task.function.__doc__
    function.declared = task
    function.is_followed = is_followed
    try:
        return task_class(DEFAULT_TASK_BACKEND_ALIAS)(
            func=function,
            queue_name=task.queue or task.routing_key or DEFAULT_TASK_QUEUE_NAME,
            max_attempts=task.retries + 1,
            backoff=BACKOFF,
            retry_on=task.retry_exception_filter or (Exception,),
            give_up_on=(ResourceNotFound,),
            metadata=_routing(task),
        )
    except InvalidTask as error:
        raise InvalidEndpoint(f"{name}: {error}") from error


def _validate_place(endpoint: type, task: DeferrableEndpointTask) -> None:
    where = endpoint.__qualname__.rpartition(".")[0]
    if where or endpoint.__module__ == "__main__":
        raise InvalidEndpoint(
            f"{endpoint.__qualname__}.{task.name}: no worker could import "
            f"{endpoint.__qualname__} from {endpoint.__module__!r}"
            f"{f', for it is defined inside of {where}' if where else ''}. Define an endpoint with "
            "deferrable tasks at the top of a module."
        )


def _routing(task: DeferrableEndpointTask) -> dict[str, Any]:
    """For engines that route."""
    given = {"queue": task.queue, "routing_key": task.routing_key}
    return {name: value for name, value in given.items() if value is not None}


def _function(endpoint: type, task: DeferrableEndpointTask, name: str) -> Callable[..., None]:
    def execute(reference: Reference, /, *args: Any, **kwargs: Any) -> None:
        try:
            resource = fetched(reference, name)
        except ResourceNotFound as error:
            raise _late(error) or error from None
        task.call(endpoint, resource, *args, **kwargs)

    return execute


def _coroutine_function(
    endpoint: type, task: DeferrableEndpointTask, name: str
) -> Callable[..., Any]:
    async def execute(reference: Reference, /, *args: Any, **kwargs: Any) -> None:
        try:
            resource = await afetched(reference, name)
        except ResourceNotFound as error:
            raise _late(error) or error from None
        answer = task.call(endpoint, resource, *args, **kwargs)
        if inspect.isawaitable(answer):  # a runner may have done that
            await answer

    return execute


def _late(error: ResourceNotFound) -> Snooze | None:
    """The row may just be late; None if it has had the time."""
    context = current_context()
    if context is None:
        return None
    begun, enqueued = context.task_result.last_attempted_at, context.task_result.enqueued_at
    if begun is None or enqueued is None or begun - enqueued >= PATIENCE:
        return None
    return Snooze(str(error), after=LOOK_AGAIN_AFTER)
