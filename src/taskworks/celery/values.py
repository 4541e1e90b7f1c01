"""
Arguments and results as JSON, in the way of Celery's own serializer, which gives UUIDs, dates,
times, decimals and bytes back as they were.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.functional import Promise

TYPE, VALUE = "__type__", "__value__"
RESULT, RESULTS = "taskworks-result", "taskworks-results"


@dataclass(frozen=True, slots=True)
class ResultOf:
    """An argument that stands for what a step of the run's workflow has returned, or a group."""

    step: str
    several: bool = False

    def __json__(self) -> dict[str, str]:
        return {TYPE: RESULTS if self.several else RESULT, VALUE: self.step}


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": lambda text: datetime.fromisoformat(text).date(),
    "time": time.fromisoformat,
    "decimal": Decimal,
    "uuid": lambda given: UUID(**given),
    "bytes": str.encode,
    "base64": base64.b64decode,
    RESULT: ResultOf,
    RESULTS: lambda step: ResultOf(step, several=True),
}


def encoded(value: Any) -> Any:
    """
    Return the value as JSON; keys of dicts become text. Raise TypeError for what Celery's
    serializer refuses too, such as an instance of a model; ValueError for a list in itself.
    """
    return json.loads(_dumps(value))


def decoded(value: Any) -> Any:
    """
    Return the value of which ``encoded`` has made this. Raise ValueError for a type that is
    unknown or does not have such a value.
    """
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    items = {key: decoded(item) for key, item in value.items()}
    return _of_type(items) if items.keys() == {TYPE, VALUE} else items


def _of_type(marked: dict[str, Any]) -> Any:
    name, value = marked[TYPE], marked[VALUE]
    decoder = _DECODERS.get(name) if isinstance(name, str) else None
    if decoder is None:
        raise ValueError(
            f"The argument {marked!r} has the type {name!r}, which is not one of "
            f"{', '.join(_DECODERS)}."
        )
    try:
        return decoder(value)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ValueError(f"The argument {marked!r} cannot be read: {error}") from error


def _marked(value: Any) -> Any:
    if (reducer := getattr(value, "__json__", None)) is not None:
        return reducer()
    if isinstance(value, Promise):
        return str(value)
    for kind, mark in _ENCODERS.items():
        if isinstance(value, kind):
            return mark(value)
    raise TypeError(
        f"{value!r:.200} is of the type {type(value).__qualname__}, which is not JSON. Pass an id "
        "or a dict."
    )


def _iso(name: str) -> Callable[[Any], dict[str, Any]]:
    return lambda value: _as(name, value.isoformat())


def _bytes(value: bytes) -> dict[str, Any]:
    try:
        return _as("bytes", value.decode())
    except UnicodeDecodeError:
        return _as("base64", base64.b64encode(value).decode())


def _as(name: str, value: Any) -> dict[str, Any]:
    return {TYPE: name, VALUE: value}


_ENCODERS: dict[type, Callable[[Any], dict[str, Any]]] = {
    datetime: _iso("datetime"),  # before date, because it is one
    date: _iso("date"),
    time: _iso("time"),
    Decimal: lambda value: _as("decimal", str(value)),
    UUID: lambda value: _as("uuid", {"hex": value.hex}),
    bytes: _bytes,
}
_dumps = json.JSONEncoder(default=_marked).encode
