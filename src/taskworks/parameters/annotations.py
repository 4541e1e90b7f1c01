"""``@task(typed=True)``: a task's inputs and outputs from its function's annotations."""

import inspect
import types
from collections.abc import Callable, Mapping
from copy import copy
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cached_property, wraps
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import models

from taskworks.exceptions import InvalidTask
from taskworks.parameters.chosen import EnumParameter, ModelParameter
from taskworks.parameters.fields import fields_of
from taskworks.parameters.parameter import Parameter, ValidatedParameter
from taskworks.parameters.plain import (
    BooleanParameter,
    DictParameter,
    FloatParameter,
    IntParameter,
    JSONParameter,
    ListParameter,
    StringParameter,
)
from taskworks.parameters.signature import RESULT_NAME, Typed
from taskworks.parameters.text import (
    DateParameter,
    DateTimeParameter,
    DecimalParameter,
    DurationParameter,
    TimeParameter,
    UUIDParameter,
)

PARAMETER_TYPES: Mapping[Any, type[Parameter]] = {
    Any: JSONParameter,
    bool: BooleanParameter,
    date: DateParameter,
    datetime: DateTimeParameter,
    Decimal: DecimalParameter,
    dict: DictParameter,
    float: FloatParameter,
    int: IntParameter,
    str: StringParameter,
    time: TimeParameter,
    timedelta: DurationParameter,
    UUID: UUIDParameter,
}


class AnnotatedParameter(ValidatedParameter):
    """A value of any type that pydantic can validate."""

    def __init__(self, annotation: Any) -> None:
        super().__init__()
        self._annotation = annotation

    @cached_property
    def annotation(self) -> Any:
        return self._annotation


def typed_function(function: Callable[..., Any], takes_context: bool) -> Callable[..., Any]:
    """
    Return the function, with its arguments and its result validated.

    Raise InvalidTask for an argument without an annotation, or with one that cannot be validated.
    """
    typed: Any = _typed_of(function, takes_context)
    make = _coroutine_function if inspect.iscoroutinefunction(function) else _function
    wrapper: Any = wraps(function)(make(function, typed, int(takes_context)))
    wrapper._taskworks_typed = typed
    return wrapper  # type: ignore[no-any-return]


def _function(function: Callable[..., Any], typed: Typed, context_count: int) -> Callable[..., Any]:
    """Return the wrapper; its first ``context_count`` (0 or 1) arguments are passed unchanged."""

    def execute(*args: Any, **kwargs: Any) -> Any:
        values = typed.decoded(args[context_count:], kwargs)
        return typed.returned(function(*args[:context_count], **values))

    return execute


def _coroutine_function(
    function: Callable[..., Any], typed: Typed, context_count: int
) -> Callable[..., Any]:
    # In threads, because validating a model instance queries the database.
    async def execute(*args: Any, **kwargs: Any) -> Any:
        values = await sync_to_async(typed.decoded)(args[context_count:], kwargs)
        returned = await function(*args[:context_count], **values)
        return await sync_to_async(typed.returned)(returned)

    return execute


def _typed_of(function: Callable[..., Any], takes_context: bool) -> Typed:
    name = getattr(function, "__qualname__", repr(function))
    arguments = [*inspect.signature(function).parameters.values()][int(takes_context) :]
    try:
        hints = _hints(function, {"return", *(argument.name for argument in arguments)})
    except Exception as error:
        raise InvalidTask(
            f"{name}: its annotations cannot be read: {error}. A typed task needs them when it is "
            "defined: import their types outside of `if TYPE_CHECKING`."
        ) from error
    inputs = {a.name: _input(f"{name}({a.name})", a, hints) for a in arguments}
    returned = hints.get("return", Any)
    outputs = {} if returned is types.NoneType else {RESULT_NAME: _output(returned)}
    return Typed(
        name=function.__name__,
        inputs=fields_of(name, inputs, "inputs"),
        outputs=fields_of(name, outputs, "outputs"),
        description=inspect.cleandoc(function.__doc__ or ""),
        bare=True,
    )


def _hints(function: Callable[..., Any], names: set[str]) -> dict[str, Any]:
    """Return the annotations of these; that of the context may exist for type checkers only."""
    annotations = getattr(function, "__annotations__", {})
    needed = types.SimpleNamespace(
        __annotations__={name: each for name, each in annotations.items() if name in names},
        __globals__=getattr(inspect.unwrap(function), "__globals__", {}),
        __type_params__=getattr(function, "__type_params__", ()),
    )
    return get_type_hints(needed, include_extras=True)


def _input(place: str, argument: inspect.Parameter, hints: Mapping[str, Any]) -> Parameter:
    if argument.kind not in (argument.POSITIONAL_OR_KEYWORD, argument.KEYWORD_ONLY):
        raise InvalidTask(f"{place}: a typed task accepts only named arguments.")
    if argument.name not in hints:
        raise InvalidTask(f"{place}: an argument of a typed task needs an annotation.")
    parameter = copy(parameter_of(hints[argument.name]))
    if argument.default is not argument.empty:
        parameter.required = False
        if argument.default is not None or parameter.null:
            parameter.default = argument.default
    return parameter


def _output(annotation: Any) -> Parameter:
    parameter = copy(parameter_of(annotation))
    parameter.label = parameter.label or "Result"
    if annotation is Any:
        parameter.null = True
    return parameter


def parameter_of(annotation: Any) -> Parameter:
    """Return the parameter for an annotation."""
    not_none = _without_none(annotation)
    if not_none is not annotation:
        parameter = copy(parameter_of(not_none))
        parameter.null = True
        return parameter
    return _explicit(annotation) or _known(annotation) or AnnotatedParameter(annotation)


def _without_none(annotation: Any) -> Any:
    """Return ``X`` for ``X | None``, and any other annotation unchanged."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    others = [member for member in get_args(annotation) if member is not types.NoneType]
    return annotation if len(others) == len(get_args(annotation)) else Union[tuple(others)]  # noqa: UP007


def _explicit(annotation: Any) -> Parameter | None:
    """Return the parameter in ``Annotated[int, IntParameter(min_value=1)]``."""
    metadata = getattr(annotation, "__metadata__", ())
    return next((item for item in metadata if isinstance(item, Parameter)), None)


def _known(annotation: Any) -> Parameter | None:
    """Return the parameter for a type that has a parameter class of its own."""
    if annotation in PARAMETER_TYPES:
        return PARAMETER_TYPES[annotation]()
    if get_origin(annotation) is list:
        return ListParameter(parameter_of(get_args(annotation)[0]))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return EnumParameter(annotation)
    if isinstance(annotation, type) and issubclass(annotation, models.Model):
        return ModelParameter(annotation)
    return None
