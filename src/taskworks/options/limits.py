"""``Limit``: how many runs of a key, and how many in total, are executed at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from taskworks.conf import conf, nearest
from taskworks.exceptions import InvalidTask

MAX_NAME = 64  # characters
MAX_NUMBER = 2**31 - 1
NUMBERS = ("at_once", "total")


@dataclass(frozen=True, slots=True)
class Limit:
    """
    That at most ``at_once`` runs with the same key, and at most ``total`` runs in all, are in the
    hands of workers at a time. ``by`` is the parameter of the task whose value is the key; without
    it, all runs have the same one. Keys take turns, so that none waits behind the runs of another;
    a limit without numbers does only that.

    The numbers are stored in the database, where a person may change them, and count for all tasks
    with a limit of this name, in any queue, by any worker. Raise InvalidTask for a bad value.
    """

    name: str
    by: str | None = None
    at_once: int | None = None
    total: int | None = None

    def __post_init__(self) -> None:
        if not _is_name(self.name):
            raise InvalidTask(
                f"The name of a limit must be 1 to {MAX_NAME} printable characters without "
                f"surrounding spaces, not {self.name!r}."
            )
        if self.by is not None and not (isinstance(self.by, str) and self.by.isidentifier()):
            raise InvalidTask(
                f"by of the limit {self.name!r} must be the name of a parameter, not {self.by!r}."
            )
        for name in NUMBERS:
            _refuse_bad_number(self.name, name, getattr(self, name))

    @property
    def numbers(self) -> dict[str, int | None]:
        """What the database stores of it."""
        return {name: getattr(self, name) for name in NUMBERS}


_in_code: dict[str, Limit] = {}  # those that tasks declare, by name
_of_settings: tuple[Any, dict[str, Limit]] = (None, {})


def declare(limit: Limit) -> None:
    """Note a limit that a task declares; raise InvalidTask if another one has its name."""
    known = declared_limits().get(limit.name, limit)
    if known != limit:
        raise InvalidTask(
            f"The limit {limit.name!r} is declared twice: as {known!r}, and as {limit!r}. Declare "
            f"it once, and give the other tasks limit={limit.name!r}."
        )
    _in_code[limit.name] = limit


def declared_limits() -> dict[str, Limit]:
    """
    Return the limits that TASKWORKS["LIMITS"] and the tasks imported so far declare, by name; raise
    ImproperlyConfigured for a bad setting.
    """
    return {**_in_code, **limits_of_settings()}


def declared_limit(name: str) -> Limit:
    """Return the limit with this name; raise InvalidTask if nobody declares it."""
    limits = declared_limits()
    if name not in limits:
        raise InvalidTask(
            f"There is no limit {name!r}. Declare it in TASKWORKS['LIMITS'], or with "
            f"limit=Limit({name!r}, ...) at a task.{nearest(name, [*limits]) if limits else ''}"
        )
    return limits[name]


def limits_of_settings() -> dict[str, Limit]:
    """Return those of TASKWORKS["LIMITS"]; raise ImproperlyConfigured for a bad one."""
    global _of_settings  # noqa: PLW0603 - a cache with one entry
    given = conf().limits
    if given is not _of_settings[0]:
        _of_settings = (
            given,
            {name: _read(name, options) for name, options in (given or {}).items()},
        )
    return _of_settings[1]


def _read(name: Any, options: Any) -> Limit:
    place = f"TASKWORKS['LIMITS'][{name!r}]"
    if not isinstance(options, Mapping):
        raise ImproperlyConfigured(f"{place} must be a dict of options, not {options!r}.")
    known = ["by", *NUMBERS]
    for option in options:
        if option not in known:
            raise ImproperlyConfigured(
                f"{place} has no option {option!r}.{nearest(str(option), known)}"
            )
    try:
        return Limit(name, **options)
    except InvalidTask as error:
        raise ImproperlyConfigured(f"{place}: {error}") from error


def _is_name(name: Any) -> bool:
    fits = isinstance(name, str) and 0 < len(name) <= MAX_NAME and name.isprintable()
    return fits and bool(name == name.strip())


def _refuse_bad_number(limit: str, name: str, number: Any) -> None:
    if number is None:
        return
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= MAX_NUMBER:
        raise InvalidTask(
            f"{name} of the limit {limit!r} must be an integer from 1 to {MAX_NUMBER}, or None for "
            f"no limit, not {number!r}."
        )
