"""
``Unique`` and ``Debounce``: which runs of a task are equal, how long one keeps another away, and
what becomes of the second.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from functools import lru_cache
from inspect import Parameter, Signature, signature
from typing import Any
from uuid import UUID

from taskworks import jsonvalue
from taskworks.conf import nearest
from taskworks.durations import seconds
from taskworks.exceptions import InvalidTask
from taskworks.framework import Task

UNFINISHED, WAITING = HOLDS = ("unfinished", "waiting")
KEEP, REPLACE, REFUSE, SUPERSEDE = CONFLICTS = ("keep", "replace", "refuse", "supersede")
MAX_SIGNATURES = 1000  # of functions, kept

Duration = float | timedelta


class _NoKey(Enum):
    """In place of a key that was not given: None is a key like others."""

    NO_KEY = "no key"


NO_KEY = _NoKey.NO_KEY


@dataclass(frozen=True, slots=True, init=False)
class Unique:
    """
    Allows only one run of a task per key at a time.

    The key is made of the arguments named ``fields``, or of all arguments, including the defaults
    of the function; or it is ``key``: a string, an integer or None. The queue is not part of it.

    A run has its key ``while_`` it is "unfinished" (the default) or "waiting", that is, until it
    begins; or for ``period`` seconds (a number or a timedelta) after it was enqueued; with both,
    until both are over.

    ``on_conflict`` says what happens to another enqueue in this time. "keep" returns the result of
    the existing run; "replace" also gives it the new arguments and options, if it has not begun;
    "refuse" raises AlreadyEnqueued; "supersede" cancels it, and enqueues the new one.

    Raise ValueError for values that are not valid.
    """

    fields: tuple[str, ...]
    key: Any
    while_: str | None  # None if the period alone counts
    period: float | None  # in seconds
    on_conflict: str

    def __init__(
        self,
        *fields: str,
        key: str | int | _NoKey | None = NO_KEY,
        while_: str | None = None,
        period: Duration | None = None,
        on_conflict: str = KEEP,
    ) -> None:
        self._set(fields=_validated_fields(fields, type(self)), key=_validated_key(key))
        if fields and key is not NO_KEY:
            raise ValueError("Give either the names of fields or a key, not both.")
        self._set(
            while_=_one_of(HOLDS, while_, "while_"),
            period=_validated_duration(period, "period"),
            on_conflict=_one_of(CONFLICTS, on_conflict, "on_conflict"),
        )
        if self.while_ is None and self.period is None:
            self._set(while_=UNFINISHED)
        if self.period is not None and on_conflict == SUPERSEDE:
            raise ValueError(
                'on_conflict="supersede" does not fit a period: each run would supersede the one '
                'before, and the period would keep none away. Use while_="unfinished".'
            )

    @property
    def holds_back(self) -> bool:
        """True if the run that stands must not begin before the caller commits."""
        return self.while_ == WAITING or self.on_conflict == REPLACE

    @property
    def changes_nothing_that_stands(self) -> bool:
        """True if the run that stands is not even locked."""
        return not self.holds_back and self.on_conflict != SUPERSEDE

    @property
    def latest_stands(self) -> bool:
        """True if of equal runs that are enqueued together, the last one stands."""
        return self.on_conflict in (REPLACE, SUPERSEDE)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True, init=False)
class Debounce(Unique):
    """
    Of the runs of a task with the same key, the last one is to run once no other has been enqueued
    for ``wait`` seconds; ``longest`` seconds after the first, it runs in any case. Both are numbers
    or timedeltas. Fields and key are those of ``Unique``.

    Each enqueue before that returns the result of the run that waits, and gives it its arguments
    and options.

    Raise ValueError for values that are not valid.
    """

    wait: float  # in seconds, as the next
    longest: float

    def __init__(
        self,
        *fields: str,
        key: str | int | _NoKey | None = NO_KEY,
        wait: Duration,
        longest: Duration,
    ) -> None:
        # Zero-argument super() does not work in a slotted dataclass.
        Unique.__init__(self, *fields, key=key, while_=WAITING, on_conflict=REPLACE)
        self._set(wait=_validated_duration(wait, "wait"))
        self._set(longest=_validated_duration(longest, "longest"))
        if self.longest < self.wait:
            raise ValueError(f"longest={longest!r} must not be less than wait={wait!r}.")


def _validated_fields(fields: tuple[Any, ...], kind: type) -> tuple[str, ...]:
    for name in fields:
        if not isinstance(name, str):
            raise ValueError(
                f"The fields of {kind.__name__} must be names of parameters, not {name!r}."
            )
    if len({*fields}) < len(fields):
        raise ValueError(f"{kind.__name__} has a field twice: {', '.join(fields)}.")
    return fields


def _validated_key(key: Any) -> Any:
    if key is None or key is NO_KEY:
        return key
    if not isinstance(key, str | int) or isinstance(key, bool):
        raise ValueError(
            f"key must be a string, an integer or None, not {key!r:.200}. Turn it into a string."
        )
    if key == "":
        raise ValueError('key must not be "", which is likely a value that is missing.')
    try:
        jsonvalue.encode(key, "key")
    except ValueError as error:
        raise ValueError(f"key cannot be used: {error}") from None
    return str(key) if isinstance(key, str) else int(key)


def _one_of(known: Sequence[str], value: Any, name: str) -> Any:
    if value not in known and not (value is None and known is HOLDS):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, not {value!r}.")
    return value


def _validated_duration(value: Any, name: str) -> float | None:
    if value is None:
        if name == "period":
            return None
        raise ValueError(f"{name} must be seconds or a timedelta, not None.")
    duration = seconds(value, name)
    if not duration:
        raise ValueError(f"{name} must be greater than 0.")
    return duration


# What a task must have to be unique.


def validate_unique(unique: Any, task: Task) -> None:
    """Raise InvalidTask for what is not a ``Unique``, or has fields that the task has not."""
    name = task.func.__qualname__
    if not isinstance(unique, Unique):
        raise InvalidTask(f"{name}: unique must be Unique(...) or Debounce(...), not {unique!r}.")
    known = _names(task)
    for field in unique.fields:
        if field not in known:
            raise InvalidTask(
                f"{name} cannot be unique by {field!r}: it has no such parameter."
                f"{nearest(field, known)}"
            )
    if unique.key is NO_KEY and not _is_typed(task):
        _validate_defaults(task, unique.fields or known)
    if isinstance(unique, Debounce) and task.run_after is not None:
        raise InvalidTask(
            f"{name}: run_after does not fit Debounce, whose wait says when the run is due."
        )


def _validate_defaults(task: Task, fields: Sequence[str]) -> None:
    """Raise InvalidTask for the default of a field that is not JSON."""
    parameters = _parameters_of(task).parameters
    for field in fields:
        default = parameters[field].default
        if default is Parameter.empty:
            continue
        try:
            jsonvalue.encode(default, "default")
        except (TypeError, ValueError):
            raise InvalidTask(
                f"{task.func.__qualname__} cannot be unique by {field!r}, whose default "
                f"{default!r:.200} is not JSON. Name the fields that it is to be unique by."
            ) from None


def _names(task: Task) -> list[str]:
    return [*task.func._taskworks_typed.inputs] if _is_typed(task) else [*_parameters(task)]  # type: ignore[attr-defined]


def _parameters(task: Task) -> Mapping[str, Parameter]:
    return _parameters_of(task).parameters


def _is_typed(task: Task) -> bool:
    return hasattr(task.func, "_taskworks_typed")


# The key of a run.


def unique_key(task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> UUID:
    """
    Return the key of a run of a unique task with these arguments, which are JSON. Raise TypeError
    for arguments that the function does not take.
    """
    unique: Unique = task.unique  # type: ignore[attr-defined]
    told_apart_by: Any = (
        {"key": unique.key}
        if unique.key is not NO_KEY
        else {"fields": _values(task, unique.fields, args, kwargs)}
    )
    whose = [task.backend, task.module_path, told_apart_by]
    text = json.dumps(whose, sort_keys=True, separators=(",", ":"))
    # Version 5, because MariaDB does not store a UUID without a version.
    return UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=5)


def _values(
    task: Task, fields: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values of the fields in a call, with the defaults of those that were not given."""
    if _is_typed(task):
        return {name: kwargs.get(name) for name in fields or _names(task)}
    try:
        bound = _parameters_of(task).bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{task.func.__qualname__} cannot be called like this: {error}.") from None
    bound.apply_defaults()
    return {name: bound.arguments[name] for name in fields or bound.arguments}


def _parameters_of(task: Task) -> Signature:
    """Return the signature that callers of ``enqueue`` see."""
    return _signature(task.func, task.takes_context)


@lru_cache(maxsize=MAX_SIGNATURES)
def _signature(function: Callable[..., Any], takes_context: bool) -> Signature:
    parameters = [*signature(function).parameters.values()][int(takes_context) :]
    return Signature(parameters)
