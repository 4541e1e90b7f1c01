"""A task and its arguments: as a step of a workflow, as they are stored, and how it is called."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeVar

from asgiref.sync import async_to_sync, sync_to_async

from taskworks import framework
from taskworks.context import TaskContext, current_context, entered
from taskworks.exceptions import InvalidInputs

if TYPE_CHECKING:
    from taskworks.definition import Task

    AnyTask = Task[..., Any]

R = TypeVar("R")
Arguments = tuple[list[Any], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class TaskCall:
    """What ``Task.step()`` returns; the arguments are validated as far as its task is typed."""

    task: "AnyTask"
    args: list[Any]
    kwargs: dict[str, Any]


def encoded(task: "AnyTask", args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    """Return the arguments to store; those of a typed task are validated, and all keywords."""
    return ([], task.typed.encoded(args, kwargs)) if task.typed else ([*args], kwargs)


async def unchanged(task: "AnyTask", args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    """Return the arguments to store of a task that is not typed."""
    return [*args], kwargs


def item_arguments(task: "AnyTask", item: Any, index: int) -> Arguments:
    """Return the arguments to store of an item of many; errors name it."""
    args, kwargs = call_arguments(item, f"Item {index} of enqueue_many()")
    try:
        return encoded(task, tuple(args), kwargs)
    except InvalidInputs as error:
        raise InvalidInputs(
            {f"item {index}: {name}": e for name, e in error.errors.items()}
        ) from None


def call_arguments(item: Any, what: str) -> Arguments:
    """Return the arguments of an item; raise TypeError, which says ``what`` it is."""
    match item:
        case tuple() | list():
            return [*item], {}
        case Mapping():
            return [], dict(item)
        case _:
            raise TypeError(
                f"{what} is {item!r}: it must be a tuple or a list of "
                "positional arguments, or a dict of keyword arguments."
            )


@contextmanager
def with_our_context(task: "AnyTask", args: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Replace the standard's context, which a backend of another package passes, by ours."""
    if not task.takes_context or not args or type(args[0]) is not framework.TaskContext:
        yield args
        return
    outer = current_context()
    if outer and outer.task_result is args[0].task_result:
        yield (outer, *args[1:])
        return
    with entered(TaskContext(task_result=args[0].task_result)) as context:
        yield (context, *args[1:])


_is_async = lru_cache(maxsize=1000)(iscoroutinefunction)  # which looks at a function from each side

# A task's keywords may have any name, so they must not meet the parameters, such as ``self``, of
# Django's ``call()`` or of asgiref's objects.


def called(function: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
    """Return what the function returns, also if it is async."""
    if _is_async(function):
        call: Any = partial(function, *args, **kwargs)
        returned: R = async_to_sync(call)()
        return returned
    return function(*args, **kwargs)


async def acalled(function: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
    """See called()."""
    call: Any = partial(function, *args, **kwargs)
    returned: R = await (call() if _is_async(function) else sync_to_async(call)())
    return returned
