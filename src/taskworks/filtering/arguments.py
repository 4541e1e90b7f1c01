"""``Argument``: that a run was given a value, at a place in its arguments."""

import inspect
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import Q

from taskworks.discovery import resolve
from taskworks.exceptions import InvalidTask, TaskNotFound
from taskworks.jsonvalue import as_text, decode
from taskworks.masking import MASK, is_secret, masked
from taskworks.models import TaskRun

MISSING = object()


@dataclass(frozen=True)
class Argument:
    """
    ``path`` is the name of an argument, or the position of one that was given without a name, and
    the keys and positions within it, such as ``order.lines.0``. ``value`` is text: a JSON value,
    or the text itself.
    """

    path: str
    value: str

    def __str__(self) -> str:
        return f"{self.path}={self.value}"

    @property
    def masked(self) -> "Argument":
        """The same with asterisks in place of what looks like a secret."""
        if any(map(is_secret, self._steps)):
            return Argument(self.path, MASK)
        meant = meant_by(self.value)
        shown = masked(meant)
        if shown == meant:
            return self
        return Argument(self.path, shown if isinstance(shown, str) else as_text(shown))

    @property
    def position(self) -> int | None:
        """The position with which the path begins, None if it begins with a name."""
        first = self._steps[0]
        return int(first) if _is_position(first) else None

    def condition(self, args: str, kwargs: str) -> Q:
        """Return what SQL can say of the texts of the arguments; it may find too much."""
        by_name = Q(**{f"{kwargs}__contains": self._key}) if self._key else Q()
        either = Q()
        for text in self._scalars:
            in_args = Q(**{f"{args}__contains": text})
            in_kwargs = Q(**{f"{kwargs}__contains": f"{self._key}{text}"})
            either |= in_args | in_kwargs
        if self._has_collection:
            either |= by_name | ~Q(**{args: "[]"})
        return either

    def is_of(self, run: TaskRun) -> bool:
        """Return whether the run was given it, by name or by position."""
        found = _at(self._steps, run.args, run.kwargs, run.called_path)
        return found is not MISSING and _canonical(found) in self._accepted

    @cached_property
    def _steps(self) -> list[str]:
        return self.path.split(".")

    @cached_property
    def _key(self) -> str:
        """What stands before the value in the text, if it is at a key."""
        last = self._steps[-1]
        return "" if last.isdecimal() else f"{as_text(last)}:"

    @cached_property
    def _meant(self) -> list[Any]:
        return [self.value, meant_by(self.value)]

    @cached_property
    def _accepted(self) -> set[str]:
        return {_canonical(value) for value in self._meant}

    @cached_property
    def _scalars(self) -> list[str]:
        return [as_text(value) for value in self._meant if not isinstance(value, dict | list)]

    @property
    def _has_collection(self) -> bool:
        return len(self._scalars) < len(self._meant)


def meant_by(text: str) -> Any:
    """Return the JSON value of a text that is one; any other text as it is."""
    try:
        return decode(text)
    except (ValueError, RecursionError):
        return text


def _at(steps: list[str], args: list[Any], kwargs: dict[str, Any], path: str) -> Any:
    first, *others = steps
    if first in kwargs:
        found = kwargs[first]
    else:
        position = int(first) if _is_position(first) else _position(path, first)
        found = args[position] if position is not None and position < len(args) else MISSING
    for step in others:
        found = _within(found, step)
    return found


def _within(value: Any, step: str) -> Any:
    if isinstance(value, dict):
        return value.get(step, MISSING)
    if isinstance(value, list) and _is_position(step) and int(step) < len(value):
        return value[int(step)]
    return MISSING


def _is_position(step: str) -> bool:
    return step.isascii() and step.isdecimal() and len(step) < 10


def _position(path: str, name: str) -> int | None:
    """Return at which position the task at this path takes the argument with this name."""
    try:
        task = resolve(path)
    except (TaskNotFound, InvalidTask):
        return None
    try:
        names = [*inspect.signature(task.func).parameters]
    except (TypeError, ValueError):
        return None
    names = names[1:] if task.takes_context else names
    return names.index(name) if name in names else None


def _canonical(value: Any) -> str:
    """Return a text that is the same for the same JSON, in which true is not 1."""
    return json.dumps(value, sort_keys=True)
