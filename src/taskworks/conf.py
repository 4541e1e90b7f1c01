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
        if isinstance(defaults[key], bool):
            _validate_switch(key, value)
        else:
            _validate_value(key, value, whole=isinstance(defaults[key], int))
    conf = Conf(**{key.lower(): value for key, value in given.items()})
    if conf.worker_timeout < 3 * conf.heartbeat_interval:
        raise ImproperlyConfigured(
            f"TASKWORKS['WORKER_TIMEOUT'] is {conf.worker_timeout} seconds, too short for a "
            f"heartbeat every {conf.heartbeat_interval}: make it three times as long at least."
        )
    return conf


def _validate_value(key: str, value: Any, *, whole: bool) -> None:
    kind = "whole number" if whole else "finite number"
    right_type = type(value) is int or (type(value) is float and not whole)
    if not right_type or not 0 < value < math.inf:
        raise ImproperlyConfigured(f"TASKWORKS[{key!r}] must be a {kind} above 0, not {value!r}.")


def _validate_switch(key: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ImproperlyConfigured(f"TASKWORKS[{key!r}] must be True or False, not {value!r}.")


def nearest(name: str, known: list[str]) -> str:
    """The end of a sentence that refuses a name: the one probably meant, or all there are."""
    if close := get_close_matches(name, known, n=1):
        return f" Did you mean {close[0]!r}?"
    return f" Known are: {', '.join(sorted(known))}."
