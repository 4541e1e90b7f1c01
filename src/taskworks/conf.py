"""The ``TASKWORKS`` setting: one dict, every key with a default."""

import math
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class Conf:
    """The settings in force; each attribute is the key of ``TASKWORKS`` in capitals."""

    heartbeat_interval: float = 5.0  # seconds between two signs of life of a worker
    worker_timeout: float = 30.0  # seconds of silence after which a worker is given up
    shutdown_timeout: float = 25.0  # seconds that running tasks get after SIGTERM
    interrupt_grace: float = 5.0  # seconds that a task gets to end once it is interrupted
    not_found_patience: float = 600.0  # seconds that a path may fail to import
    max_json_size: int = 1024 * 1024  # bytes of a run's args, of its kwargs, and of its result
    max_traceback_length: int = 10_000  # characters kept of a failed attempt's traceback
    max_messages: int = 100  # kept of a run
    max_message_length: int = 1_000  # characters kept of a message
    notify: bool = True  # tell workers of new runs at once, where the database can
    endpoint_tasks_synchronous: bool = False  # execute deferrable tasks in the request
    api_tasks: tuple[str, ...] = ()  # dotted paths of the typed tasks that are offered
    api_authentication_classes: tuple[str, ...] = ()  # of the REST API; the project's, if empty
    api_permission_classes: tuple[str, ...] = ()  # of the same; the project's, or IsAuthenticated
    api_max_streams: int = 500  # event streams that a process has open at once
    api_max_user_streams: int = 100  # of those, for one user who is signed in
    schedule_callables: tuple[str, ...] = ()  # dotted paths that the admin offers beside tasks


_UNSET: dict[str, Any] = {}
_in_force: tuple[Any, Conf] = (_UNSET, Conf())


def conf() -> Conf:
    """The settings in force now, so that an override in a test takes effect at once."""
    global _in_force  # noqa: PLW0603 - a cache of one, replaced whole
    given = getattr(settings, "TASKWORKS", _UNSET)
    if given is not _in_force[0]:
        _in_force = (given, _validated(given))
    return _in_force[1]


def _validated(given: Any) -> Conf:
    if not isinstance(given, dict):
        raise ImproperlyConfigured(f"TASKWORKS must be a dict, not {given!r}.")
    defaults = {field.name.upper(): field.default for field in fields(Conf)}
    for key, value in given.items():
        if key not in defaults:
            raise ImproperlyConfigured(
                f"TASKWORKS has no key {key!r}.{nearest(str(key), list(defaults))}"
            )
        _validate(key, value, defaults[key])
    conf = Conf(**{key.lower(): _kept(value) for key, value in given.items()})
    if conf.worker_timeout < 3 * conf.heartbeat_interval:
        raise ImproperlyConfigured(
            f"TASKWORKS['WORKER_TIMEOUT'] is {conf.worker_timeout} seconds, too short for a "
            f"heartbeat every {conf.heartbeat_interval}: make it three times as long at least."
        )
    return conf


def _validate(key: str, value: Any, default: Any) -> None:
    match default:
        case bool():
            _validate_switch(key, value)
        case tuple():
            validate_paths(f"TASKWORKS[{key!r}]", value)
        case _:
            _validate_value(key, value, whole=isinstance(default, int))


def _kept(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _validate_value(key: str, value: Any, *, whole: bool) -> None:
    kind = "whole number" if whole else "finite number"
    right_type = type(value) is int or (type(value) is float and not whole)
    if not right_type or not 0 < value < math.inf:
        raise ImproperlyConfigured(f"TASKWORKS[{key!r}] must be a {kind} above 0, not {value!r}.")


def _validate_switch(key: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ImproperlyConfigured(f"TASKWORKS[{key!r}] must be True or False, not {value!r}.")


def validate_paths(name: str, value: Any) -> None:
    """Raise ImproperlyConfigured if the setting is no list of dotted paths."""
    if not isinstance(value, list | tuple):
        raise ImproperlyConfigured(f"{name} must be a list of dotted paths, not {value!r}.")
    for path in value:
        if not isinstance(path, str) or "." not in path:
            raise ImproperlyConfigured(
                f"{name} must be a list of dotted paths, such as 'shop.tasks.Sum'. It has {path!r}."
            )


def nearest(name: str, known: list[str]) -> str:
    """The end of a sentence that refuses a name: the one probably meant, or all there are."""
    if close := get_close_matches(name, known, n=1):
        return f" Did you mean {close[0]!r}?"
    return f" Known are: {', '.join(sorted(known))}."
