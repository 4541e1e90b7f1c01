"""``TypedTask``: a class that is a task, with inputs and outputs that it declares."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar

from asgiref.sync import sync_to_async

from taskworks.context import TaskContext, current_context
from taskworks.definition import Task, task_class
from taskworks.exceptions import InvalidTask
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS
from taskworks.parameters import Fields, Parameter, Typed
from taskworks.parameters.field_set import fields_of
from taskworks.result import TaskResult

# Why classes could not be made, by their paths: whoever imports them may not say so.
refused: dict[str, str] = {}

# Fields of a task that a class may not have as attributes; the others are options.
NO_OPTIONS = {"func", "run_after", "takes_context"}


class TypedTask:
    """
    A task that says what it takes and what it returns: ``inputs`` and ``outputs``, and ``run``,
    which gets the inputs by their names and returns the outputs in a dict, or one of them bare.

    ``Sum.task`` is its task of the standard, with all that such a task can do; ``Sum.enqueue`` and
    the like are for short. Options of ``@task`` are attributes of the class. A class without
    ``run`` is a base for others.

    Raise InvalidTask, when the class is made, for a ``run`` that does not take the inputs.
    """

    name: ClassVar[str] = ""  # in the API; that of the class if it is empty
    inputs: ClassVar[Mapping[str, Parameter]] = {}
    outputs: ClassVar[Mapping[str, Parameter]] = {}
    permission_classes: ClassVar[Sequence[Any] | None] = None  # of the API for this task
    throttle_scope: ClassVar[str | None] = None
    task: ClassVar[Task[..., Any]]
    run: Callable[..., Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not hasattr(cls, "run"):
            return
        path = f"{cls.__module__}.{cls.__qualname__}"
        try:
            cls.task = _task_of(cls)
        except InvalidTask as error:
            refused[path] = str(error)
            raise
        refused.pop(path, None)

    # From outside.

    @classmethod
    def enqueue(cls, /, **inputs: Any) -> TaskResult[..., Any]:
        """Store a run; raise InvalidInputs for inputs that do not fit, and store nothing."""
        return cls.task.enqueue(**inputs)

    @classmethod
    async def aenqueue(cls, /, **inputs: Any) -> TaskResult[..., Any]:
        """See enqueue()."""
        return await cls.task.aenqueue(**inputs)

    @classmethod
    def using(cls, /, **options: Any) -> Task[..., Any]:
        """Its task with other options."""
        return cls.task.using(**options)

    @classmethod
    def start(cls, inputs: Mapping[str, Any] | None = None) -> TaskResult[..., Any]:
        """As django-task-api spells ``enqueue``."""
        return cls.task.enqueue(**(inputs or {}))

    # From inside of run(); outside of a run these do nothing.

    @property
    def context(self) -> TaskContext | None:
        """What is told of the run that is executed here, and how to tell; None outside of one."""
        return current_context()

    def set_target(self, target: int | None) -> None:
        """What progress counts up to."""
        if context := self.context:
            context.set_target(target)

    def set_progress(self, progress: int) -> None:
        """How far the task is."""
        if context := self.context:
            context.set_progress(progress)

    def inc_progress(self, increment: int = 1) -> None:
        """That it is so much further; from 0 if no progress was set."""
        if context := self.context:
            context.inc_progress(increment)

    def add_message(self, message: Any, level: str = "info") -> None:
        """Something for people to read; what is no text becomes text."""
        if context := self.context:
            context.add_message(message if isinstance(message, str) else _text(message), level)


def _text(message: Any) -> str:
    try:
        return json.dumps(message, default=str)
    except (TypeError, ValueError):
        return str(message)


def _task_of(cls: type[TypedTask]) -> Task[..., Any]:
    _validate_place(cls)
    typed = Typed(
        name=_name_of(cls),
        inputs=fields_of(cls.__qualname__, cls.inputs, "inputs"),
        outputs=fields_of(cls.__qualname__, cls.outputs, "outputs"),
        description=inspect.cleandoc(cls.__doc__ or ""),
        permission_classes=cls.permission_classes,
        throttle_scope=cls.throttle_scope,
    )
    _validate_run(cls, typed.inputs)
    kind = task_class(getattr(cls, "backend", DEFAULT_TASK_BACKEND_ALIAS))
    names = {field.name for field in fields(kind)} - NO_OPTIONS
    options = {name: getattr(cls, name) for name in names if hasattr(cls, name)}
    return kind(func=_function_of(cls, typed), **options)


def _name_of(cls: type[TypedTask]) -> str:
    if not isinstance(cls.name, str):
        raise InvalidTask(f"{cls.__qualname__}.name must be text, not {cls.name!r}.")
    return cls.name or cls.__name__


def _validate_place(cls: type[TypedTask]) -> None:
    where = cls.__qualname__.rpartition(".")[0]
    if where or cls.__module__ == "__main__":
        raise InvalidTask(
            f"No worker could import {cls.__qualname__} from {cls.__module__!r}"
            f"{f', for it is defined inside of {where}' if where else ''}. Define a typed task at "
            "the top of a module."
        )


def _validate_run(cls: type[TypedTask], inputs: Fields) -> None:
    arguments, takes_any = _arguments_of(cls)
    for name, parameter in inputs.items():
        if name not in arguments:
            if takes_any:
                continue
            raise InvalidTask(
                f"{cls.__qualname__}.run does not take the input {name!r}: give it an argument of "
                "that name."
            )
        may_be_absent = not parameter.required and not parameter.has_default
        if may_be_absent and arguments[name].default is inspect.Parameter.empty:
            raise InvalidTask(
                f"{cls.__qualname__}.run needs the input {name!r}, which is not required: give the "
                "argument a default, or the parameter one."
            )
    for name, argument in arguments.items():
        if name not in inputs and argument.default is inspect.Parameter.empty:
            raise InvalidTask(
                f"{cls.__qualname__}.run takes {name!r}, which is no input: add it to the inputs, "
                "or give it a default."
            )


def _arguments_of(cls: type[TypedTask]) -> tuple[dict[str, inspect.Parameter], bool]:
    """What ``run`` takes by name, and whether it takes any other."""
    method = inspect.getattr_static(cls, "run")
    parameters = [*inspect.signature(method).parameters.values()] if callable(method) else []
    if not inspect.isfunction(method) or not parameters:
        raise InvalidTask(f"{cls.__qualname__}.run must be a method: def run(self, ...).")
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return (
        {p.name: p for p in parameters[1:] if p.kind in by_name},
        any(p.kind is p.VAR_KEYWORD for p in parameters),
    )


def _function_of(cls: type[TypedTask], typed: Typed) -> Callable[..., Any]:
    """What a worker executes; its path leads to ``cls.task``."""
    make = _coroutine_function if inspect.iscoroutinefunction(cls.run) else _function
    function: Any = make(cls, typed)
    function.__module__, function.__qualname__ = cls.__module__, f"{cls.__qualname__}.task"
    function.__name__, function.__doc__ = cls.__name__, cls.__doc__
    function._taskworks_typed = typed
    return function  # type: ignore[no-any-return]


def _function(cls: type[TypedTask], typed: Typed) -> Callable[..., Any]:
    def execute(*args: Any, **inputs: Any) -> Any:
        return typed.returned(cls().run(**typed.decoded(args, inputs)))

    return execute


def _coroutine_function(cls: type[TypedTask], typed: Typed) -> Callable[..., Any]:
    # Inputs and outputs may have to be looked up in the database.
    async def execute(*args: Any, **inputs: Any) -> Any:
        values = await sync_to_async(typed.decoded)(args, inputs)
        return await sync_to_async(typed.returned)(await cls().run(**values))

    return execute
