"""``TypedTask``: a class that declares a task with inputs and outputs."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar

from asgiref.sync import sync_to_async

from taskworks.context import TaskContext, current_context
from taskworks.decorator import task_class
from taskworks.definition import Task
from taskworks.exceptions import InvalidTask
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS
from taskworks.parameters import Fields, Parameter, Typed
from taskworks.parameters.fields import fields_of
from taskworks.result import TaskResult

# Errors of classes that could not be created, by path: their importer may have hidden the error.
refused: dict[str, str] = {}

# Fields of a task that are not options; a class has the others as attributes.
NON_OPTION_FIELDS = {"func", "run_after", "takes_context"}


class TypedTask:
    """
    A task with declared ``inputs`` and ``outputs``.

    ``run`` gets the inputs by name, and returns a dict of outputs, or a single output's value.
    ``Sum.task`` is the ``Task`` of a class ``Sum``; ``Sum.enqueue`` and other methods are
    shortcuts. Options of ``@task`` are attributes of the class. A class without ``run`` is a base
    class for others.

    Raise InvalidTask, when a class is created, if its ``run`` does not accept its inputs.
    """

    name: ClassVar[str] = ""  # in APIs; if empty, the name of the class
    inputs: ClassVar[Mapping[str, Parameter]] = {}
    outputs: ClassVar[Mapping[str, Parameter]] = {}
    permission_classes: ClassVar[Sequence[Any] | None] = None  # of APIs; None: only their own
    throttle_scope: ClassVar[str | None] = None
    failure_message: ClassVar[str] = ""  # what users of an API are told if it fails
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

    # To enqueue it.

    @classmethod
    def enqueue(cls, /, **inputs: Any) -> TaskResult[..., Any]:
        """Enqueue a run; raise InvalidInputs, and store nothing, if an input does not fit."""
        return cls.task.enqueue(**inputs)

    @classmethod
    async def aenqueue(cls, /, **inputs: Any) -> TaskResult[..., Any]:
        """See enqueue()."""
        return await cls.task.aenqueue(**inputs)

    @classmethod
    def using(cls, /, **options: Any) -> Task[..., Any]:
        """Return its task with other options."""
        return cls.task.using(**options)

    @classmethod
    def start(cls, inputs: Mapping[str, Any] | None = None) -> TaskResult[..., Any]:
        """Enqueue a run; the spelling of django-task-api."""
        return cls.task.enqueue(**(inputs or {}))

    # For use in run(); elsewhere these do nothing.

    @property
    def context(self) -> TaskContext | None:
        """The context of the run that is executed here; None elsewhere."""
        return current_context()

    def set_target(self, target: int | None) -> None:
        """Set the number that progress counts up to."""
        if context := self.context:
            context.set_target(target)

    def set_progress(self, progress: int) -> None:
        """Set the progress."""
        if context := self.context:
            context.set_progress(progress)

    def inc_progress(self, increment: int = 1) -> None:
        """Advance the progress by ``increment``, from 0 if none was set."""
        if context := self.context:
            context.inc_progress(increment)

    def add_message(self, message: Any, level: str = "info") -> None:
        """Add a message for people; anything but a string is added as JSON."""
        if context := self.context:
            context.add_message(message if isinstance(message, str) else _json(message), level)


def _json(message: Any) -> str:
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
        failure_message=cls.failure_message,
    )
    _validate_run(cls, typed.inputs)
    kind = task_class(getattr(cls, "backend", DEFAULT_TASK_BACKEND_ALIAS))
    names = {field.name for field in fields(kind)} - NON_OPTION_FIELDS
    options = {name: getattr(cls, name) for name in names if hasattr(cls, name)}
    return kind(func=_function_of(cls, typed), **options)


def _name_of(cls: type[TypedTask]) -> str:
    if not isinstance(cls.name, str):
        raise InvalidTask(f"{cls.__qualname__}.name must be a string, not {cls.name!r}.")
    return cls.name or cls.__name__


def _validate_place(cls: type[TypedTask]) -> None:
    where = cls.__qualname__.rpartition(".")[0]
    if where or cls.__module__ == "__main__":
        raise InvalidTask(
            f"Workers cannot import {cls.__qualname__} from {cls.__module__!r}"
            f"{f', because it is defined inside {where}' if where else ''}. Define typed tasks at "
            "the top level of a module."
        )


def _validate_run(cls: type[TypedTask], inputs: Fields) -> None:
    arguments, takes_any, itself = _arguments_of(cls)
    for name, parameter in inputs.items():
        if name not in arguments:
            if takes_any and name != itself:
                continue
            raise InvalidTask(
                f"{cls.__qualname__}.run does not accept the input {name!r}. Add an argument with "
                "that name."
            )
        is_optional = not parameter.required and not parameter.has_default
        if is_optional and arguments[name].default is inspect.Parameter.empty:
            raise InvalidTask(
                f"{cls.__qualname__}.run requires {name!r}, which is an optional input. Give the "
                "argument or the parameter a default."
            )
    for name, argument in arguments.items():
        if name not in inputs and argument.default is inspect.Parameter.empty:
            raise InvalidTask(
                f"{cls.__qualname__}.run requires {name!r}, which is not an input. Add it to the "
                "inputs, or give the argument a default."
            )


def _arguments_of(cls: type[TypedTask]) -> tuple[dict[str, inspect.Parameter], bool, str | None]:
    """
    Return the arguments of ``run`` by name, whether it accepts any other, and the one name that it
    does not, that of the instance; None if that is positional-only.
    """
    method = inspect.getattr_static(cls, "run")
    parameters = [*inspect.signature(method).parameters.values()] if callable(method) else []
    if not inspect.isfunction(method) or not parameters:
        raise InvalidTask(f"{cls.__qualname__}.run must be a method: def run(self, ...).")
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    itself = parameters[0].name if parameters[0].kind in by_name else None
    return (
        {p.name: p for p in parameters[1:] if p.kind in by_name},
        any(p.kind is p.VAR_KEYWORD for p in parameters),
        itself,
    )


def _function_of(cls: type[TypedTask], typed: Typed) -> Callable[..., Any]:
    """Return the function that workers execute, with the path of ``cls.task``."""
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
    # In threads, because validating a model instance queries the database.
    async def execute(*args: Any, **inputs: Any) -> Any:
        values = await sync_to_async(typed.decoded)(args, inputs)
        return await sync_to_async(typed.returned)(await cls().run(**values))

    return execute
