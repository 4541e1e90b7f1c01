"""``@task(typed=True)``: inputs and outputs from a function's annotations."""

import inspect
import types
from collections.abc import Callable, Mapping
from copy import copy
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import wraps
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import models

from taskworks.exceptions import InvalidTask
from taskworks.parameters.chosen import AnnotatedParameter, EnumParameter, ModelParameter
from taskworks.parameters.field_set import fields_of
from taskworks.parameters.parameter import Parameter
from taskworks.parameters.plain import (
    BooleanParameter,
    DictParameter,
    FloatParameter,
    IntParameter,
    JSONParameter,
    ListParameter,
    StringParameter,
)
from taskworks.parameters.text import (
    DateParameter,
    DateTimeParameter,
    DecimalParameter,
    DurationParameter,
    TimeParameter,
    UUIDParameter,
)
from taskworks.parameters.typed import RESULT, Typed

PLAIN: Mapping[Any, type[Parameter]] = {
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


def typed_function(function: Callable[..., Any], takes_context: bool) -> Callable[..., Any]:
    """
    The function, with its arguments and its result validated.

    Raise InvalidTask for an argument that has no annotation, or one that cannot be validated.
    """
    typed: Any = _typed_of(function, takes_context)
    make = _coroutine_function if inspect.iscoroutinefunction(function) else _function
    wrapper: Any = wraps(function)(make(function, typed, int(takes_context)))
    wrapper._taskworks_typed = typed
    return wrapper  # type: ignore[no-any-return]


def _function(function: Callable[..., Any], typed: Typed, given: int) -> Callable[..., Any]:
    """``given`` arguments are the worker's."""

    def execute(*args: Any, **kwargs: Any) -> Any:
        values = typed.decoded(args[given:], kwargs)
        return typed.returned(function(*args[:given], **values))

    return execute


def _coroutine_function(
    function: Callable[..., Any], typed: Typed, given: int
) -> Callable[..., Any]:
    async def execute(*args: Any, **kwargs: Any) -> Any:
        values = await sync_to_async(typed.decoded)(args[given:], kwargs)
        returned = await function(*args[:given], **values)
        return await sync_to_async(typed.returned)(returned)

    return execute


def _typed_of(function: Callable[..., Any], takes_context: bool) -> Typed:
    name = getattr(function, "__qualname__", repr(function))
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception as error:
        raise InvalidTask(f"{name}: its annotations cannot be read: {error}") from error
    arguments = [*inspect.signature(function).parameters.values()][int(takes_context) :]
    inputs = {a.name: _input(f"{name}({a.name})", a, hints) for a in arguments}
    returned = hints.get("return", Any)
    outputs = {} if returned is types.NoneType else {RESULT: _output(returned)}
    return Typed(
        name=function.__name__,
        inputs=fields_of(name, inputs, "inputs"),
        outputs=fields_of(name, outputs, "outputs"),
        description=inspect.cleandoc(function.__doc__ or ""),
        bare=True,
    )


def _input(place: str, argument: inspect.Parameter, hints: Mapping[str, Any]) -> Parameter:
    if argument.kind not in (argument.POSITIONAL_OR_KEYWORD, argument.KEYWORD_ONLY):
        raise InvalidTask(f"{place}: a typed task takes arguments by their names only.")
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
    """The parameter of an annotation."""
    found = _without_null(annotation)
    if found is not annotation:
        parameter = copy(parameter_of(found))
        parameter.null = True
        return parameter
    return _explicit(annotation) or _plain(annotation) or AnnotatedParameter(annotation)


def _without_null(annotation: Any) -> Any:
    """What is annotated besides None."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    others = [kind for kind in get_args(annotation) if kind is not types.NoneType]
    return annotation if len(others) == len(get_args(annotation)) else Union[tuple(others)]  # noqa: UP007


def _explicit(annotation: Any) -> Parameter | None:
    """Annotated[int, IntParameter(min_value=1)]"""
    marks = getattr(annotation, "__metadata__", ())
    return next((mark for mark in marks if isinstance(mark, Parameter)), None)


def _plain(annotation: Any) -> Parameter | None:
    """That of a type that has one of ours."""
    if annotation in PLAIN:
        return PLAIN[annotation]()
    if get_origin(annotation) is list:
        return ListParameter(parameter_of(get_args(annotation)[0]))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return EnumParameter(annotation)
    if isinstance(annotation, type) and issubclass(annotation, models.Model):
        return ModelParameter(annotation)
    return None
