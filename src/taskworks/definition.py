"""
The ``@task`` decorator and ``Task``: the standard's, on every Django alike, with our options.

An option of ours is a field of ``Task``: the decorator, ``using()``, pickling and the refusal of
unknown names follow from that. What an option means, and what holds without it, is in ``policy``.
"""

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    cast,
    overload,
)

from asgiref.sync import sync_to_async
from django.utils import timezone

from taskworks import framework, jsonvalue
from taskworks.conf import nearest
from taskworks.context import TaskContext, current_context, entered
from taskworks.discovery import resolve
from taskworks.exceptions import InvalidInputs, InvalidTask, TaskNotFound
from taskworks.framework import (
    DEFAULT_TASK_BACKEND_ALIAS,
    DEFAULT_TASK_PRIORITY,
    DEFAULT_TASK_QUEUE_NAME,
    task_backends,
)
from taskworks.options import policy
from taskworks.options.owner import owner_of
from taskworks.result import TaskResult
from taskworks.retry import AskedForDelay, Backoff

P = ParamSpec("P")
R = TypeVar("R")

if TYPE_CHECKING:
    from taskworks.parameters import Fields, Typed

    class _Standard(framework.Task[P, R]): ...

else:

    class _Standard(framework.Task, Generic[P, R]):
        __slots__ = ()


Classes = type[BaseException] | Iterable[type[BaseException]]
Duration = float | timedelta

# Zero-argument super() does not work in a slotted dataclass.


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(_Standard[P, R]):
    """
    A function that can be enqueued, and how its runs are to be treated. It cannot be modified:
    ``using()`` makes a changed copy.

    Beyond the standard, ``run_after`` may be a timedelta: a run waits that long from the moment
    it is enqueued. An option of ours that is None is as the queue's and the backend's defaults
    say; ``policy`` tells what is in force.
    """

    func: Callable[..., R]
    priority: int = DEFAULT_TASK_PRIORITY
    backend: str = DEFAULT_TASK_BACKEND_ALIAS
    queue_name: str = DEFAULT_TASK_QUEUE_NAME
    run_after: datetime | timedelta | None = None  # type: ignore[assignment]
    takes_context: bool = False
    max_attempts: int | None = None
    backoff: Duration | Backoff | AskedForDelay | None = None
    retry_on: Classes | None = field(default=None, hash=False)
    give_up_on: Classes | None = field(default=None, hash=False)
    timeout: Duration | None = None
    expires: Duration | None = None
    executor: str | None = None
    delivery: str | None = None
    transactional: bool | None = None
    metadata: dict[str, Any] | None = field(default=None, hash=False)
    owner: Any = field(default=None, hash=False)

    def __new__(cls, **options: Any) -> Self:
        refuse_unknown_options(cls, options)
        return object.__new__(cls)

    def __post_init__(self) -> None:
        if getattr(self.func, "__name__", "") == "<lambda>":
            raise InvalidTask(
                "Task function must be defined at a module level. A lambda has no name that a "
                "worker could import: use def."
            )
        for name, value in policy.validated(_options(self)).items():
            object.__setattr__(self, name, value)
        _validate_metadata(self.metadata)
        if self.owner is not None:
            object.__setattr__(self, "owner", owner_of(self.owner))
        backend = self.get_backend()
        backend.validate_task(_in_time_for(backend, self))
        policy_of(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # As Django 6.1 does it, so that 6.0 pickles too.
        state = {field.name: getattr(self, field.name) for field in fields(self)}
        return (unpickle, (type(self), {**state, "func": self.module_path}))

    @property
    def policy(self) -> policy.Policy:
        """The options in force: what was given, else what the settings say, else the defaults."""
        return policy_of(self)

    @property
    def typed(self) -> "Typed | None":
        """What is known of a typed task; None of another."""
        return getattr(self.func, "_taskworks_typed", None)

    @property
    def inputs(self) -> "Fields | None":
        """What a typed task takes; None of another."""
        return self.typed.inputs if self.typed else None

    @property
    def outputs(self) -> "Fields | None":
        """What a typed task returns; None of another."""
        return self.typed.outputs if self.typed else None

    def using(self, **options: Any) -> Self:
        """
        A copy with other options; an option that is None keeps its value.

        Raise InvalidTask if the backend refuses the copy, TypeError for an unknown option.
        """
        changes = {name: value for name, value in options.items() if value is not None}
        refuse_unknown_options(type(self), changes, fixed={"func", "takes_context"})
        return replace(self, **changes)

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskResult[P, R]:
        """
        Store a run of this task, and return its result as it is now.

        Raise InvalidTask if the backend refuses the task, TypeError or ValueError for arguments
        that are no JSON, InvalidInputs for those that do not fit a typed task; nothing is written
        then.
        """
        backend = self.get_backend()
        given = _encoded(self, args, kwargs)
        result: Any = backend.enqueue(_in_time_for(backend, self), *given)
        return cast(TaskResult[P, R], result)

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskResult[P, R]:
        """See enqueue()."""
        backend = self.get_backend()
        encode = sync_to_async(_encoded) if self.typed else _as_they_are
        given = await encode(self, args, kwargs)
        result: Any = await backend.aenqueue(_in_time_for(backend, self), *given)
        return cast(TaskResult[P, R], result)

    def enqueue_many(
        self, arguments: Iterable[Sequence[Any] | Mapping[str, Any]]
    ) -> list[TaskResult[P, R]]:
        """
        Store a run for each item: a tuple or list of positional arguments, or a dict of keywords.
        Their results come in the same order.

        All are written in one transaction, or, if one item is refused, none; errors are those of
        ``enqueue``, and name the item.
        """
        given = [_item_arguments(self, item, index) for index, item in enumerate(arguments)]
        backend = self.get_backend()
        task = _in_time_for(backend, self)
        if hasattr(backend, "enqueue_many"):
            return cast(list[TaskResult[P, R]], backend.enqueue_many(task, given))
        for index, (args, kwargs) in enumerate(given):
            jsonvalue.round_trip(args, f"item {index}: args")
            jsonvalue.round_trip(kwargs, f"item {index}: kwargs")
        return [cast(Any, backend.enqueue(task, args, kwargs)) for args, kwargs in given]

    async def aenqueue_many(
        self, arguments: Iterable[Sequence[Any] | Mapping[str, Any]]
    ) -> list[TaskResult[P, R]]:
        """See enqueue_many()."""
        return await sync_to_async(self.enqueue_many)(arguments)

    def enqueue_on_commit(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskResult[P, R]:
        """
        Store a run as soon as the transaction around this call commits, and not if it rolls back;
        at once if there is none. The result has the run's id already.

        Raise what ``enqueue`` raises, here and now, and NotImplementedError if the backend cannot.
        """
        backend = self.get_backend()
        if not hasattr(backend, "enqueue_on_commit"):
            raise NotImplementedError(
                f"The backend {backend.alias!r}, a {type(backend).__name__}, does not enqueue on "
                "commit: use transaction.on_commit()."
            )
        given = _encoded(self, args, kwargs)
        result = backend.enqueue_on_commit(_in_time_for(backend, self), *given)
        return cast(TaskResult[P, R], result)

    async def aenqueue_on_commit(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskResult[P, R]:
        """See enqueue_on_commit()."""
        return await sync_to_async(self.enqueue_on_commit)(*args, **kwargs)

    def get_result(self, result_id: str) -> TaskResult[P, R]:
        """
        The result of a run of this task, as it is now.

        Raise TaskResultDoesNotExist for an unknown id, TaskResultMismatch for another task's.
        """
        return cast(TaskResult[P, R], framework.Task.get_result(self, result_id))

    async def aget_result(self, result_id: str) -> TaskResult[P, R]:
        """See get_result()."""
        return cast(TaskResult[P, R], await framework.Task.aget_result(self, result_id))

    def call(self, /, *args: Any, **kwargs: Any) -> R:
        """Call the function here and now, whether it is async or not."""
        with _with_context(self, args) as given:
            return framework.Task.call(self, *given, **kwargs)

    async def acall(self, /, *args: Any, **kwargs: Any) -> R:
        """See call()."""
        with _with_context(self, args) as given:
            return await framework.Task.acall(self, *given, **kwargs)


class _Decorator(Protocol):
    """``@task(...)`` without takes_context: it knows the parameters and the result's type."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class _ContextDecorator(Protocol):
    """``@task(takes_context=True, ...)``: as above, without the context that the worker gives."""

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
    backoff: Duration | Backoff | AskedForDelay | None = ...,
    retry_on: Classes | None = ...,
    give_up_on: Classes | None = ...,
    timeout: Duration | None = ...,
    expires: Duration | None = ...,
    executor: str | None = ...,
    delivery: str | None = ...,
    transactional: bool | None = ...,
    metadata: dict[str, Any] | None = ...,
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
    backoff: Duration | Backoff | AskedForDelay | None = ...,
    retry_on: Classes | None = ...,
    give_up_on: Classes | None = ...,
    timeout: Duration | None = ...,
    expires: Duration | None = ...,
    executor: str | None = ...,
    delivery: str | None = ...,
    transactional: bool | None = ...,
    metadata: dict[str, Any] | None = ...,
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
    Make a module's function a task; the arguments are the standard's and the options of ``Task``.
    ``typed``: its annotations are its inputs and outputs, and what does not fit them is refused.

    Raise InvalidTask if the backend refuses the task, TypeError for an unknown option or for
    ``run_after``, which belongs to ``using()``.
    """
    if "run_after" in options:
        raise TypeError(
            "run_after cannot be defined statically with the @task decorator. "
            "Use .using(run_after=...) to set it dynamically."
        )

    def define(function: Callable[..., Any]) -> Task[..., Any]:
        return task_class(backend)(
            func=_typed(function, takes_context) if typed else function,
            priority=priority,
            queue_name=queue_name,
            backend=backend,
            takes_context=takes_context,
            **options,
        )

    return define(function) if function else define


def _typed(function: Callable[..., Any], takes_context: bool) -> Callable[..., Any]:
    from taskworks.parameters.annotations import typed_function  # needs an extra

    return typed_function(function, takes_context)


def policy_of(task: framework.Task) -> policy.Policy:
    """The options in force of any task, one of the standard's own class too."""
    return policy.policy_of(_options(task), task.func, task.queue_name, task.get_backend())


def options_changed(task: framework.Task, definition: framework.Task) -> dict[str, Any]:
    """What ``using()`` has changed of our options, beside the definition."""
    if task is definition:
        return {}
    before = _options(definition)
    return {name: v for name, v in _options(task).items() if v != before[name]}


def _options(task: framework.Task) -> dict[str, Any]:
    """Our options as they were given."""
    return {name: getattr(task, name, None) for name in policy.OPTIONS}


def _validate_metadata(metadata: Any) -> None:
    if not isinstance(metadata, Mapping | None):
        raise InvalidTask(f"metadata must be a dict, not {metadata!r}.")


@contextmanager
def _with_context(task: Task, args: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Another package's backend gives the standard's context, which cannot do what ours can."""
    if not task.takes_context or not args or type(args[0]) is not framework.TaskContext:
        yield args
        return
    outer = current_context()
    if outer and outer.task_result is args[0].task_result:
        yield (outer, *args[1:])
        return
    with entered(TaskContext(task_result=args[0].task_result)) as context:
        yield (context, *args[1:])


Arguments = tuple[list[Any], dict[str, Any]]


def _encoded(task: Task, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    """The arguments as they are stored: a typed task's by their names, once they are validated."""
    return ([], task.typed.encoded(args, kwargs)) if task.typed else ([*args], kwargs)


async def _as_they_are(task: Task, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    return [*args], kwargs


def _item_arguments(task: Task, item: Any, index: int) -> Arguments:
    args, kwargs = _call_arguments(item, index)
    try:
        return _encoded(task, tuple(args), kwargs)
    except InvalidInputs as error:
        raise InvalidInputs(
            {f"item {index}: {name}": e for name, e in error.errors.items()}
        ) from None


def _call_arguments(item: Any, index: int) -> tuple[list[Any], dict[str, Any]]:
    match item:
        case tuple() | list():
            return [*item], {}
        case Mapping():
            return [], dict(item)
        case _:
            raise TypeError(
                f"Item {index} of enqueue_many() is {item!r}: it must be a tuple or a list of "
                "positional arguments, or a dict of keyword arguments."
            )


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


def with_absolute_run_after(task: framework.Task) -> framework.Task:
    """The task with a run_after that counts from now turned into a point in time."""
    if not isinstance(task.run_after, timedelta):
        return task
    try:
        return copied(task, run_after=timezone.now() + task.run_after)
    except OverflowError:
        raise InvalidTask(f"run_after is out of range: {task.run_after!r} from now.") from None


def _in_time_for(backend: framework.BaseTaskBackend, task: framework.Task) -> framework.Task:
    # Our own backend counts by the database's clock; others know points in time only.
    return (
        task
        if getattr(backend, "supports_relative_run_after", False)
        else with_absolute_run_after(task)
    )


def copied(task: framework.Task, **changes: Any) -> framework.Task:
    """A changed copy that is not validated: what was stored once must stay readable."""
    copy = object.__new__(type(task))
    for option in fields(task):
        value = changes.get(option.name, getattr(task, option.name))
        object.__setattr__(copy, option.name, value)
    return copy


def unpickle(cls: type[Task], state: dict[str, Any]) -> Task:
    """Build a task from its pickled state; raise ValueError if its path leads to no task."""
    path = state["func"]
    try:
        return cls(**{**state, "func": resolve(path).func})
    except (TaskNotFound, InvalidTask) as error:
        raise ValueError(f"Expected {path!r} to point to a Task instance.") from error


def as_enqueued(task: framework.Task, **stored: Any) -> framework.Task:
    """The task of a stored run, with the options it was enqueued with."""
    if all(getattr(task, name, value) == value for name, value in stored.items()):
        return task
    return copied(task, **stored)


def ours(task: framework.Task) -> Task:
    """The task as one of our class, which has our options."""
    if isinstance(task, Task):
        return task
    standard = {field.name: getattr(task, field.name) for field in fields(framework.Task)}
    return unvalidated(task.func, **standard)


def unvalidated(function: Callable[..., Any], **options: Any) -> Task:
    """A task of ours that no setting can refuse; its backend does when it is enqueued."""
    task = object.__new__(Task)
    for option in fields(Task):
        object.__setattr__(task, option.name, options.get(option.name, option.default))
    object.__setattr__(task, "func", function)
    return task


def missing(path: str, reason: BaseException) -> Task:
    """What stands for a task whose code is gone: called, it raises the reason."""

    def function(*args: Any, **kwargs: Any) -> None:
        raise reason

    module, _, name = path.rpartition(".")
    function.__module__, function.__name__, function.__qualname__ = module, name, name
    return unvalidated(function)
