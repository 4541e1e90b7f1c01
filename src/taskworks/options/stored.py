"""Options of a task as JSON, in the row of a run: classes and functions by their paths."""

import math
from collections.abc import Mapping
from typing import Any

from django.utils.module_loading import import_string

from taskworks.conf import nearest
from taskworks.exceptions import InvalidTask
from taskworks.options.policy import OPTIONS, validated
from taskworks.retry import Backoff


def to_stored(changed: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return changed options as JSON. Raise InvalidTask for a class or function that a worker could
    not import by its path.
    """
    given = validated(changed)
    return {name: _as_json(value, name) for name, value in given.items()}


def _as_json(value: Any, name: str) -> Any:
    match value:
        case tuple():
            return [_path(item, name) for item in value]
        case Backoff(initial, factor, maximum, jitter) if type(value) is Backoff:
            return [initial, factor, maximum, jitter]
        case math.inf:
            return None
        case int() | float() | str():
            return value
        case _:
            return _path(value, name)


def _path(named: Any, option: str) -> str:
    path = f"{named.__module__}.{getattr(named, '__qualname__', type(named).__qualname__)}"
    try:
        found = import_string(path)
    except ImportError:
        found = None
    if found is not named:
        raise InvalidTask(
            f"{option}={named!r} cannot be stored with a run: {path!r} does not lead to it. "
            "Define it under its own name in an importable module, or pass it to @task."
        )
    return path


def from_stored(stored: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return options read from JSON; raise ImportError if a class or function is missing, InvalidTask
    for what ``@task`` would refuse: whoever may write rows may write anything.
    """
    for name in stored:
        if name not in OPTIONS:
            raise InvalidTask(f"There is no option {name!r}.{nearest(name, list(OPTIONS))}")
    return validated({name: _read(value, name) for name, value in stored.items()})


def _read(value: Any, name: str) -> Any:
    if value is None:
        return math.inf
    if name == "backoff" and isinstance(value, list):
        return _read_backoff(value)
    try:
        return imported(name, value)
    except (Exception, SystemExit) as error:  # a module may raise anything while it is imported
        raise ImportError(f"{type(error).__name__}: {error}") from error


def _read_backoff(numbers: list[Any]) -> Backoff:
    try:
        return Backoff(*numbers)
    except (TypeError, ValueError) as error:
        raise InvalidTask(f"backoff must not be stored as {numbers!r:.200}: {error}") from None


def imported(name: str, value: Any) -> Any:
    """Import what rows, and settings, refer to by its path."""
    match name, value:
        case "retry_on" | "give_up_on" | "backoff", str(path):
            return import_string(path)
        case "retry_on" | "give_up_on", list() | tuple() | set():
            return tuple(imported(name, item) for item in value)
        case _:
            return value
