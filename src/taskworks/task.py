"""
The ``@task`` decorator and ``Task``: the standard's, on every Django alike, with room for options.

An option of ours is a field of ``Task``: the decorator, ``using()``, pickling and the refusal of
unknown names follow from that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self, cast, overload

from django.utils import timezone
from django.utils.module_loading import import_string

from taskworks import framework
from taskworks.conf import nearest
from taskworks.exceptions import InvalidTask, TaskNotFound
from taskworks.framework import (
    DEFAULT_TASK_BACKEND_ALIAS,
    DEFAULT_TASK_PRIORITY,
    DEFAULT_TASK_QUEUE_NAME,
    TaskResult,
    task_backends,
)

# Zero-argument super() does not work in a slotted dataclass.


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(framework.Task):
    """
    A function that can be enqueued, and how its runs are to be treated. It cannot be modified:
    ``using()`` makes a changed copy.

    Beyond the standard, ``run_after`` may be a timedelta: a run waits that long from the moment
    it is enqueued.
    """

    func: Callable[..., Any]
    priority: int = DEFAULT_TASK_PRIORITY
    backend: str = DEFAULT_TASK_BACKEND_ALIAS
    queue_name: str = DEFAULT_TASK_QUEUE_NAME
    run_after: datetime | timedelta | None = None  # type: ignore[assignment]
    takes_context: bool = False

    def __new__(cls, **options: Any) -> Self:
        refuse_unknown_options(cls, options)
        return object.__new__(cls)

    def __post_init__(self) -> None:
        if getattr(self.func, "__name__", "") == "<lambda>":
            raise InvalidTask(
                "Task function must be defined at a module level. A lambda has no name that a "
                "worker could import: use def."
            )
        self.get_backend().validate_task(settled(self))

    def __reduce__(self) -> tuple[Any, ...]:
        # As Django 6.1 does it, so that 6.0 pickles too.
        state = {field.name: getattr(self, field.name) for field in fields(self)}
        return (unpickle, (type(self), {**state, "func": self.module_path}))

    def using(self, **options: Any) -> Self:
        """
        A copy with other options; an option that is None keeps its value.

        Raise InvalidTask if the backend refuses the copy, TypeError for an unknown option.
        """
        changes = {name: value for name, value in options.items() if value is not None}
        refuse_unknown_options(type(self), changes, fixed={"func", "takes_context"})
        return replace(self, **changes)

    def enqueue(self, *args: Any, **kwargs: Any) -> TaskResult:
        """
        Store a run of this task, and return its result as it is now.

        Raise InvalidTask if the backend refuses the task, TypeError or ValueError for arguments
        that are no JSON; nothing is written then.
        """
        backend = self.get_backend()
        return backend.enqueue(_in_time_for(backend, self), list(args), kwargs)

    async def aenqueue(self, *args: Any, **kwargs: Any) -> TaskResult:
        """See enqueue()."""
        backend = self.get_backend()
        return await backend.aenqueue(_in_time_for(backend, self), list(args), kwargs)


@overload
def task(function: Callable[..., Any], /) -> Task: ...
@overload
def task(
    *,
    priority: int = ...,
    queue_name: str = ...,
    backend: str = ...,
    takes_context: bool = ...,
    **options: Any,
) -> Callable[[Callable[..., Any]], Task]: ...
def task(
    function: Callable[..., Any] | None = None,
    *,
    priority: int = DEFAULT_TASK_PRIORITY,
    queue_name: str = DEFAULT_TASK_QUEUE_NAME,
    backend: str = DEFAULT_TASK_BACKEND_ALIAS,
    takes_context: bool = False,
    **options: Any,
) -> Task | Callable[[Callable[..., Any]], Task]:
    """
    Make a module's function a task; the arguments are the standard's and the options of ``Task``.

    Raise InvalidTask if the backend refuses the task, TypeError for an unknown option or for
    ``run_after``, which belongs to ``using()``.
    """
    if "run_after" in options:
        raise TypeError(
            "run_after cannot be defined statically with the @task decorator. "
            "Use .using(run_after=...) to set it dynamically."
        )

    def define(function: Callable[..., Any]) -> Task:
        return task_class(backend)(
            func=function,
            priority=priority,
            queue_name=queue_name,
            backend=backend,
            takes_context=takes_context,
            **options,
        )

    return define(function) if function else define


def task_class(backend: str) -> type[Task]:
    """The class of this backend's tasks, if it derives from ours; any backend takes ours."""
    wanted = task_backends[backend].task_class
    return wanted if issubclass(wanted, Task) else Task


def refuse_unknown_options(
    cls: type[Task], options: Mapping[str, Any], fixed: frozenset[str] | set[str] = frozenset()
) -> None:
    """Raise TypeError for the first option that tasks of this class do not have."""
    known = [field.name for field in fields(cls) if field.name not in fixed]
    for name in options:
        if name not in known:
            raise TypeError(f"A task has no option {name!r}.{nearest(name, known)}")


def settled(task: framework.Task) -> framework.Task:
    """The task with a run_after that counts from now turned into a point in time."""
    if not isinstance(task.run_after, timedelta):
        return task
    try:
        return copied(task, run_after=timezone.now() + task.run_after)
    except OverflowError:
        raise InvalidTask(f"run_after is out of range: {task.run_after!r} from now.") from None


def _in_time_for(backend: framework.BaseTaskBackend, task: framework.Task) -> framework.Task:
    # Our own backend counts by the database's clock; others know points in time only.
    return task if getattr(backend, "supports_relative_run_after", False) else settled(task)


def copied(task: framework.Task, **changes: Any) -> framework.Task:
    """A changed copy that is not validated: what was stored once must stay readable."""
    copy = object.__new__(type(task))
    for field in fields(task):
        value = changes.get(field.name, getattr(task, field.name))
        object.__setattr__(copy, field.name, value)
    return copy


def unpickle(cls: type[Task], state: dict[str, Any]) -> Task:
    """Build a task from its pickled state; raise ValueError if its path leads to no task."""
    path = state["func"]
    try:
        return cls(**{**state, "func": import_string(path).func})
    except (ImportError, AttributeError) as error:
        raise ValueError(f"Expected {path!r} to point to a Task instance.") from error


def resolve(path: str) -> framework.Task:
    """
    The task at a dotted path.

    Raise TaskNotFound if this process cannot import it, InvalidTask if it is no task.
    """
    try:
        found = import_string(path)
    except (Exception, SystemExit) as error:  # a module may raise anything while it is imported
        raise TaskNotFound(path, error) from error
    if not is_task(found):
        raise InvalidTask(f"{path!r} is no task: it is a {type(found).__name__}.")
    return cast(framework.Task, found)


def is_task(candidate: Any) -> bool:
    """Whether this is a task, of this or of another package with the standard's shape."""
    # Asked of the class alone: an object may claim to be anything, and to have any attribute.
    kind = type(candidate)
    return issubclass(kind, framework.Task) or (
        is_dataclass(kind)
        and all(hasattr(kind, name) for name in ("module_path", "call", "acall"))
        and {"func", "priority", "backend", "queue_name", "run_after", "takes_context"}
        <= {field.name for field in fields(kind)}
    )


def restored(task: framework.Task, **stored: Any) -> framework.Task:
    """The task of a stored run, with the options it was enqueued with."""
    if all(getattr(task, name) == value for name, value in stored.items()):
        return task
    return copied(task, **stored)


def missing(path: str, reason: BaseException) -> Task:
    """What stands for a task whose code is gone: called, it raises the reason."""

    def function(*args: Any, **kwargs: Any) -> None:
        raise reason

    module, _, name = path.rpartition(".")
    function.__module__, function.__name__, function.__qualname__ = module, name, name
    task = object.__new__(Task)
    for field in fields(Task):
        object.__setattr__(task, field.name, field.default)
    object.__setattr__(task, "func", function)
    return task
