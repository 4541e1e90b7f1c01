"""The limits that are declared: by the tasks imported so far, and in TASKWORKS["LIMITS"]."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from taskworks.conf import conf, nearest
from taskworks.exceptions import InvalidTask
from taskworks.options.limits import NUMBERS, Limit

_in_code: dict[str, Limit] = {}  # those that tasks declare, by name
_named: dict[str, set[str]] = {}  # the paths of the tasks that name a limit, by the limit's name
_of_settings: tuple[Any, dict[str, Limit]] = (None, {})


def declare(limit: Limit) -> None:
    """Note a limit that a task declares; raise InvalidTask if another one has its name."""
    known = declared_limits().get(limit.name, limit)
    if known != limit:
        _refuse_second(known, limit)
    _in_code[limit.name] = limit


def note_name(limit: str, task_path: str) -> None:
    """Note that a task names a limit that another place declares."""
    _named.setdefault(limit, set()).add(task_path)


def undeclared_limits() -> list[tuple[str, str]]:
    """Return the names of limits that tasks imported so far have and nobody declares; and where."""
    known = declared_limits()
    return sorted((name, path) for name in {*_named} - {*known} for path in _named[name])


def limit_of(given: Limit | str) -> Limit:
    """
    Return the declared limit that a task has; raise InvalidTask if nobody declares it, or declares
    another one with its name.
    """
    name, limits = given if isinstance(given, str) else given.name, declared_limits()
    if name not in limits:
        raise InvalidTask(
            f"There is no limit {name!r}. Declare it in TASKWORKS['LIMITS'], or with "
            f"limit=Limit({name!r}, ...) at a task.{nearest(name, [*limits]) if limits else ''}"
        )
    if given not in (name, limits[name]):
        _refuse_second(limits[name], given)
    return limits[name]


def _refuse_second(known: Limit, other: Any) -> None:
    raise InvalidTask(
        f"The limit {known.name!r} is declared twice: as {known!r}, and as {other!r}. Declare it "
        f"once, and give other tasks limit={known.name!r}."
    )


def declared_limits() -> dict[str, Limit]:
    """
    Return the limits that TASKWORKS["LIMITS"] and the tasks imported so far declare, by name; raise
    ImproperlyConfigured for a bad setting.
    """
    return {**_in_code, **limits_of_settings()}


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
