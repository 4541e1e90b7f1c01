"""
``Task``: the standard's, the same on every version of Django, with more options.

Each option is a field; the decorator, ``using()``, pickling and the refusal of unknown names follow
from that. What an option means, and its default, is in ``options.policy``; which are in force, in
``options.in_force``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar, cast

from asgiref.sync import sync_to_async

from taskworks import framework, jsonvalue
from taskworks.conf import nearest
from taskworks.discovery import resolve
from taskworks.exceptions import InvalidTask, TaskNotFound
from taskworks.framework import (
    DEFAULT_TASK_BACKEND_ALIAS,
    DEFAULT_TASK_PRIORITY,
    DEFAULT_TASK_QUEUE_NAME,
)
from taskworks.options import in_force, limits, policy
from taskworks.options.owner import owner_of
from taskworks.options.unique import Unique, validate_unique
from taskworks.reserved_metadata import refuse_reserved
from taskworks.result import TaskResult
from taskworks.retry import Backoff, BackoffFunction
from taskworks.task_call import (
    TaskCall,
    acalled,
    called,
    encoded,
    item_arguments,
    unchanged,
    with_our_context,
)
from taskworks.task_copies import with_run_after_for

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
    A function that can be enqueued, and the options of its runs. Immutable: ``using()`` returns a
    changed copy.

    Beyond the standard, ``run_after`` may be a timedelta, counted from the moment at which the run
    is enqueued. Where an option is None, the defaults of the queue and the backend apply;
    ``policy`` has the options in force.
    """

    func: Callable[..., R]
    priority: int = DEFAULT_TASK_PRIORITY
    backend: str = DEFAULT_TASK_BACKEND_ALIAS
    queue_name: str = DEFAULT_TASK_QUEUE_NAME
    run_after: datetime | timedelta | None = None  # type: ignore[assignment]
    takes_context: bool = False
    max_attempts: int | None = None
    backoff: Duration | Backoff | BackoffFunction | None = None
    retry_on: Classes | None = field(default=None, hash=False)
    give_up_on: Classes | None = field(default=None, hash=False)
    timeout: Duration | None = None
    expires: Duration | None = None
    executor: str | None = None
    delivery: str | None = None
    transactional: bool | None = None
    metadata: dict[str, Any] | None = field(default=None, hash=False)
    owner: Any = field(default=None, hash=False)
    unique: Unique | None = None
    limit: limits.Limit | str | None = None

    def __new__(cls, **options: Any) -> Self:
        refuse_unknown_options(cls, options)
        return object.__new__(cls)

    def __post_init__(self) -> None:
        if getattr(self.func, "__name__", "") == "<lambda>":
            raise InvalidTask(
                "Task function must be defined at a module level. A lambda has no name that a "
                "worker could import: use def."
            )
        for name, value in policy.validated(in_force.given_options(self)).items():
            object.__setattr__(self, name, value)
        _validate_metadata(self.metadata)
        if self.owner is not None:
            object.__setattr__(self, "owner", owner_of(self.owner))
        if self.unique is not None:
            validate_unique(self.unique, self)
        if self.limit is not None:
            _validate_limit(self)
        backend = self.get_backend()
        backend.validate_task(with_run_after_for(backend, self))
        in_force.policy_of(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # As in Django 6.1; 6.0 cannot pickle tasks.
        state = {field.name: getattr(self, field.name) for field in fields(self)}
        return (unpickle, (type(self), {**state, "func": self.module_path}))

    @property
    def policy(self) -> policy.Policy:
        """The options in force: those given, else those of the settings, else the defaults."""
        return in_force.policy_of(self)

    @property
    def typed(self) -> "Typed | None":
        """The signature of a typed task; None for other tasks."""
        return getattr(self.func, "_taskworks_typed", None)

    @property
    def inputs(self) -> "Fields | None":
        """The inputs of a typed task; None for other tasks."""
        return self.typed.inputs if self.typed else None

    @property
    def outputs(self) -> "Fields | None":
        """The outputs of a typed task; None for other tasks."""
        return self.typed.outputs if self.typed else None

    def using(self, **options: Any) -> Self:
        """
        Return a copy with other options. An option that is None keeps its value.

        Raise InvalidTask if the backend refuses the copy, or ``metadata`` has a key that begins
        with "taskworks."; TypeError for an unknown option.
        """
        changes = {name: value for name, value in options.items() if value is not None}
        refuse_unknown_options(type(self), changes, fixed={"func", "takes_context"})
        refuse_reserved_metadata(changes, self)
        return replace(self, **changes)

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskResult[P, R]:
        """
        Store a run of this task, and return its result as it is now.

        Raise InvalidTask if the backend refuses the task, TypeError or ValueError for arguments
        that are not JSON, InvalidInputs for arguments that do not fit a typed task, AlreadyEnqueued
        if ``unique`` refuses a second run. Then nothing is written.
        """
        backend = self.get_backend()
        given = encoded(self, args, kwargs)
        result: Any = backend.enqueue(with_run_after_for(backend, self), *given)
        return cast(TaskResult[P, R], result)

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskResult[P, R]:
        """See enqueue()."""
        backend = self.get_backend()
        encode = sync_to_async(encoded) if self.typed else unchanged
        given = await encode(self, args, kwargs)
        result: Any = await backend.aenqueue(with_run_after_for(backend, self), *given)
        return cast(TaskResult[P, R], result)

    def enqueue_many(
        self, arguments: Iterable[Sequence[Any] | Mapping[str, Any]]
    ) -> Sequence[TaskResult[P, R]]:
        """
        Store a run for each item, and return their results in the same order. An item is a tuple or
        list of positional arguments, or a dict of keyword arguments.

        All are written in one transaction, or none if an item is refused. Raise what ``enqueue``
        raises; the errors name the item.
        """
        given = (item_arguments(self, item, index) for index, item in enumerate(arguments))
        backend = self.get_backend()
        task = with_run_after_for(backend, self)
        if hasattr(backend, "enqueue_many"):
            return cast(Sequence[TaskResult[P, R]], backend.enqueue_many(task, given))
        items = [*given]
        for index, (args, kwargs) in enumerate(items):
            jsonvalue.round_trip(args, f"item {index}: args")
            jsonvalue.round_trip(kwargs, f"item {index}: kwargs")
        return [cast(Any, backend.enqueue(task, args, kwargs)) for args, kwargs in items]

    async def aenqueue_many(
        self, arguments: Iterable[Sequence[Any] | Mapping[str, Any]]
    ) -> Sequence[TaskResult[P, R]]:
        """See enqueue_many()."""
        return await sync_to_async(self.enqueue_many)(arguments)

    def enqueue_on_commit(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskResult[P, R]:
        """
        Store a run when the surrounding transaction commits, or at once if there is none. The
        result already has the run's id. If the transaction is rolled back, no run is stored.

        Raise what ``enqueue`` raises, immediately, and NotImplementedError if the backend does not
        support this.
        """
        backend = self.get_backend()
        if not hasattr(backend, "enqueue_on_commit"):
            raise NotImplementedError(
                f"The backend {backend.alias!r} ({type(backend).__name__}) does not support "
                "enqueue_on_commit(). Use transaction.on_commit()."
            )
        given = encoded(self, args, kwargs)
        result = backend.enqueue_on_commit(with_run_after_for(backend, self), *given)
        return cast(TaskResult[P, R], result)

    async def aenqueue_on_commit(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskResult[P, R]:
        """See enqueue_on_commit()."""
        return await sync_to_async(partial(self.enqueue_on_commit, *args, **kwargs))()

    def step(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskCall:
        """
        Return this task with its arguments, as a step for a workflow. Raise InvalidInputs for
        arguments that do not fit a typed task.
        """
        return TaskCall(self, *encoded(self, args, kwargs))

    def get_result(self, result_id: str) -> TaskResult[P, R]:
        """
        Return the result of a run of this task, as it is now.

        Raise TaskResultDoesNotExist for an unknown id, TaskResultMismatch for a run of another
        task.
        """
        return cast(TaskResult[P, R], framework.Task.get_result(self, result_id))

    async def aget_result(self, result_id: str) -> TaskResult[P, R]:
        """See get_result()."""
        return cast(TaskResult[P, R], await framework.Task.aget_result(self, result_id))

    def call(self, /, *args: Any, **kwargs: Any) -> R:
        """Call the function immediately, whether it is async or not."""
        if not self.takes_context:
            return called(self.func, args, kwargs)
        with with_our_context(self, args) as given:
            return called(self.func, given, kwargs)

    async def acall(self, /, *args: Any, **kwargs: Any) -> R:
        """See call()."""
        with with_our_context(self, args) as given:
            return await acalled(self.func, given, kwargs)


def _validate_limit(task: Task) -> None:
    given = limits.validated(task.limit)
    if isinstance(given, limits.Limit):
        given.refuse_function(task.func, takes_context=task.takes_context)


def _validate_metadata(metadata: Any) -> None:
    if not isinstance(metadata, Mapping | None):
        raise InvalidTask(f"metadata must be a dict, not {metadata!r}.")


def refuse_reserved_metadata(options: Mapping[str, Any], task: Task | None = None) -> None:
    """Raise InvalidTask if the metadata among these options has a key that is ours."""
    metadata = options.get("metadata")
    if isinstance(metadata, Mapping):
        try:
            refuse_reserved(metadata, known=(task and task.metadata) or {})
        except ValueError as error:
            raise InvalidTask(str(error)) from None


def refuse_unknown_options(
    cls: type[Task], options: Mapping[str, Any], fixed: frozenset[str] | set[str] = frozenset()
) -> None:
    """Raise TypeError for the first option that tasks of this class do not have."""
    known = [field.name for field in fields(cls) if field.name not in fixed]
    for name in options:
        if name not in known:
            raise TypeError(f"A task has no option {name!r}.{nearest(name, known)}")


def unpickle(cls: type[Task], state: dict[str, Any]) -> Task:
    """Build a task from its pickled state; raise ValueError if its path does not lead to a task."""
    path = state["func"]
    try:
        return cls(**{**state, "func": resolve(path).func})
    except (TaskNotFound, InvalidTask) as error:
        raise ValueError(f"Expected {path!r} to point to a Task instance.") from error
