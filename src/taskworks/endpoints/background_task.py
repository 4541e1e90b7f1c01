"""The ``Task`` that is enqueued for a deferrable task, and whose path is the method's."""

import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from taskworks import framework
from taskworks.backends.unique_tasks import refuse_to_replace_followers, unique_of
from taskworks.context import current_context
from taskworks.decorator import task_class
from taskworks.endpoints.decorators import DeferrableEndpointTask
from taskworks.endpoints.resource_reference import Reference, afetch, fetch
from taskworks.exceptions import InvalidEndpoint, InvalidTask, ResourceNotFound
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS, DEFAULT_TASK_QUEUE_NAME
from taskworks.options.unique import Debounce
from taskworks.retry import Backoff, Snooze

RETRY_BACKOFF = Backoff(initial=1.0)  # 1, 2, 4, 8 ... seconds
# How long after the enqueue a worker looks for the resource's row, which may not be replicated yet.
MAX_REPLICATION_LAG = timedelta(seconds=10)
ROW_POLL_INTERVAL = 1.0  # seconds


def background_task_of(
    endpoint: type, task: DeferrableEndpointTask, *, is_followed: bool, follows: bool = False
) -> framework.Task:
    """
    Return the ``Task`` that is enqueued for a deferrable task. Its run may be followed by others,
    and may follow another.

    Raise InvalidEndpoint if workers cannot import it, or its backend refuses it.
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
    if task.unique is not None:  # by the parameters of the method
        function.__signature__ = inspect.signature(task.function)
    try:
        background_task = task_class(DEFAULT_TASK_BACKEND_ALIAS)(
            func=function,
            queue_name=task.queue or task.routing_key or DEFAULT_TASK_QUEUE_NAME,
            max_attempts=task.retries + 1,
            backoff=RETRY_BACKOFF,
            retry_on=task.retry_exception_filter or (Exception,),
            give_up_on=(ResourceNotFound,),
            metadata=_routing(task),
            unique=task.unique,
        )
        _refuse_unfit(background_task, delay=task.delay, follows=follows)
    except InvalidTask as error:
        raise InvalidEndpoint(f"{name}: {error}") from error
    return background_task


def _refuse_unfit(task: framework.Task, *, delay: Any, follows: bool) -> None:
    """Raise InvalidTask for a way to be unique that does not fit the other options."""
    if follows:
        refuse_to_replace_followers(task)
    if delay and isinstance(unique_of(task), Debounce):
        raise InvalidTask("delay does not fit Debounce, whose wait says when the run is due.")


def _validate_place(endpoint: type, task: DeferrableEndpointTask) -> None:
    where = endpoint.__qualname__.rpartition(".")[0]
    if where or endpoint.__module__ == "__main__":
        raise InvalidEndpoint(
            f"{endpoint.__qualname__}.{task.name}: workers cannot import "
            f"{endpoint.__qualname__} from {endpoint.__module__!r}"
            f"{f', because it is defined inside {where}' if where else ''}. Define endpoints with "
            "deferrable tasks at the top level of a module."
        )


def _routing(task: DeferrableEndpointTask) -> dict[str, Any]:
    """Return the metadata for task engines that route by it."""
    given = {"queue": task.queue, "routing_key": task.routing_key}
    return {name: value for name, value in given.items() if value is not None}


def _function(endpoint: type, task: DeferrableEndpointTask, name: str) -> Callable[..., None]:
    def execute(reference: Reference, /, *args: Any, **kwargs: Any) -> None:
        try:
            resource = fetch(reference, name)
        except ResourceNotFound as error:
            raise _snooze(error) or error from None
        task.call(endpoint, resource, *args, **kwargs)

    return execute


def _coroutine_function(
    endpoint: type, task: DeferrableEndpointTask, name: str
) -> Callable[..., Any]:
    async def execute(reference: Reference, /, *args: Any, **kwargs: Any) -> None:
        try:
            resource = await afetch(reference, name)
        except ResourceNotFound as error:
            raise _snooze(error) or error from None
        returned = task.call(endpoint, resource, *args, **kwargs)
        if inspect.isawaitable(returned):  # not if a task_runner has awaited it
            await returned

    return execute


def _snooze(error: ResourceNotFound) -> Snooze | None:
    """Return how to wait for a row that may not be replicated yet; None if it is too late."""
    context = current_context()
    if context is None:
        return None
    started, enqueued = context.task_result.last_attempted_at, context.task_result.enqueued_at
    if started is None or enqueued is None or started - enqueued >= MAX_REPLICATION_LAG:
        return None
    return Snooze(str(error), after=ROW_POLL_INTERVAL)
