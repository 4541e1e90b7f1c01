"""
``Limit``: how many runs of a key, and how many in total, are executed at once, and begin in a time.
"""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

from taskworks import jsonvalue
from taskworks.conf import nearest
from taskworks.exceptions import InvalidTask
from taskworks.options import rates
from taskworks.options.names import is_name

MAX_NAME = 64  # characters
MAX_LANE = 128
MAX_NUMBER = 2**31 - 1
BURSTS = {"burst": "rate", "total_burst": "total_rate"}
NUMBERS = ("at_once", "total", "rate", "burst", "total_rate", "total_burst")

Number = int | str | None  # of a limit; text is a rate

# Lanes that no key has: of limits without ``by``, and of the key None.
OF_ALL, OF_NONE = "(all)", "(none)"
DIGITS = 32  # of the digest in the lane of a key that does not fit


@dataclass(frozen=True, slots=True)
class Limit:
    """
    Limits how many runs are in hand at a time: at most ``at_once`` with the same key, and at most
    ``total`` in all. ``by`` names the parameter of the task whose value is the key; without it, all
    runs have the same one. Keys take turns, so that none waits behind the runs of another; a limit
    without numbers does only that.

    ``rate`` limits how many runs with the same key are claimed in a time, such as "100/m", "5/10s"
    or "1000/d", and ``total_rate`` how many in all. ``burst`` and ``total_burst`` are how many may
    be claimed at once after a quiet time: by default those of a tenth of a second, or 1. In any
    time t, no more than rate x t + burst are claimed.

    The numbers are stored in the database, where a person may change them, and apply to all tasks
    with a limit of this name, in any queue, on any worker. Raise InvalidTask for a bad value.
    """

    name: str
    by: str | None = None
    at_once: int | None = None
    total: int | None = None
    rate: str | None = None
    burst: int | None = None
    total_rate: str | None = None
    total_burst: int | None = None

    def __post_init__(self) -> None:
        if not is_name(self.name, MAX_NAME):
            raise InvalidTask(
                f"The name of a limit must be 1 to {MAX_NAME} printable characters without "
                f"surrounding spaces, not {self.name!r}."
            )
        if self.by is not None and not (isinstance(self.by, str) and self.by.isidentifier()):
            raise InvalidTask(
                f"by of the limit {self.name!r} must be the name of a parameter, not {self.by!r}."
            )
        for name in NUMBERS:
            refuse_bad_number(self.name, name, getattr(self, name))
        for burst, rate in BURSTS.items():
            if getattr(self, burst) is not None and getattr(self, rate) is None:
                raise InvalidTask(f"{burst} of the limit {self.name!r} needs a {rate}.")
        refuse_bad_bursts(self.name, self.numbers)

    @property
    def numbers(self) -> dict[str, Number]:
        """What the database stores of it."""
        return {name: getattr(self, name) for name in NUMBERS}

    def refuse_function(self, function: Callable[..., Any], *, takes_context: bool) -> None:
        """Raise InvalidTask if this function does not have the parameter ``by``."""
        if self.by is not None:
            _parameter(function, takes_context, self)

    def lane(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        takes_context: bool,
    ) -> str:
        """
        Return what stands for the key of a call: the arguments are those without the context. Raise
        TypeError if the call does not have it, ValueError for "".
        """
        if self.by is None:
            return OF_ALL
        if self.by in kwargs:
            return lane_of(kwargs[self.by], self)
        parameter = _parameter(function, takes_context, self)
        if parameter.place is not None and parameter.place < len(args):
            return lane_of(args[parameter.place], self)
        if parameter.default is inspect.Parameter.empty:
            raise TypeError(
                f"The limit {self.name!r} needs the argument {self.by!r} of "
                f"{function.__qualname__}(), which is missing."
            )
        return lane_of(parameter.default, self)


class _Parameter(NamedTuple):
    """Where the key of a limit is among the arguments of a function."""

    place: int | None  # among positional arguments
    default: Any


@lru_cache(maxsize=1000)
def _parameter(function: Callable[..., Any], takes_context: bool, limit: Limit) -> _Parameter:
    parameters = [*inspect.signature(function).parameters.values()][int(takes_context) :]
    for place, one in enumerate(parameters):
        if one.name == limit.by and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            return _Parameter(None if one.kind == one.KEYWORD_ONLY else place, one.default)
    names = [one.name for one in parameters]
    raise InvalidTask(
        f"The limit {limit.name!r} is by {limit.by!r}, but {function.__qualname__}() has no such "
        f"parameter.{nearest(str(limit.by), names) if names else ''}"
    )


def lane_of(key: Any, limit: Limit) -> str:
    """Return the text that stands for a key: itself if it is one that people can read."""
    if key is None:
        return OF_NONE
    plain = jsonvalue.round_trip(key, str(limit.by))
    if plain == "":
        raise ValueError(
            f"{limit.by} is the key of the limit {limit.name!r}, and must not be ''. Use None for "
            "runs without a key."
        )
    if not isinstance(plain, str):
        plain = json.dumps(plain, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        return plain if _fits(plain) else _digested(plain)
    return plain if _fits(plain) and plain not in (OF_ALL, OF_NONE) else _digested(plain)


def _fits(text: str) -> bool:
    return len(text) <= MAX_LANE and text.isprintable() and text == text.strip()


def _digested(text: str) -> str:
    """Return the readable beginning of a text, and its digest."""
    readable = "".join(one if one.isprintable() else "?" for one in text[: MAX_LANE - DIGITS - 1])
    return f"{readable.strip()} {sha256(text.encode()).hexdigest()[:DIGITS]}"


def validated(given: Any) -> Any:
    """Return the limit of a task as it was given; raise InvalidTask if it cannot be one."""
    if not isinstance(given, Limit | str):
        raise InvalidTask(f"limit must be a Limit or the name of one, not {given!r}.")
    return given


def refuse_bad_number(limit: str, name: str, number: Any) -> None:
    """Raise InvalidTask for a number that a limit cannot have."""
    if number is not None and (problem := _problem_with(name, number)):
        raise InvalidTask(f"{name} of the limit {limit!r} {problem}")


def refuse_bad_bursts(limit: str, numbers: Mapping[str, Any]) -> None:
    """Raise InvalidTask if a burst, valid on its own, is too much for its rate."""
    for name, problem in _bad_bursts(numbers):
        raise InvalidTask(f"{name} of the limit {limit!r} {problem}")


def without_bad_bursts(numbers: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return these numbers, with the declared rate and burst where theirs do not fit together."""
    fitting = dict(numbers)
    for name, _ in _bad_bursts(numbers):
        fitting |= {one: declared[one] for one in (name, BURSTS[name])}
    return fitting


def _bad_bursts(numbers: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, rate_name in BURSTS.items():
        burst, rate = numbers.get(name), numbers.get(rate_name)
        if burst is None or rate is None:
            continue
        if _problem_with(name, burst) or _problem_with(rate_name, rate):
            continue  # somebody has written nonsense into the row, which limits nothing
        if problem := rates.problem_with_both(rate, burst):
            yield name, problem


def _problem_with(name: str, number: Any) -> str | None:
    if name in BURSTS:
        return rates.problem_with_burst(number)
    if name in BURSTS.values():
        return rates.problem_with(number)
    if isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= MAX_NUMBER:
        return None
    return f"must be an integer from 1 to {MAX_NUMBER}, or None for no limit, not {number!r}."
