"""The ``TASKWORKS`` setting: one dict, every key with a default."""

from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class Conf:
    """The settings in force; each attribute is the key of ``TASKWORKS`` in capitals."""

    heartbeat_interval: float = 5.0  # seconds between two signs of life of a worker
    worker_timeout: float = 30.0  # seconds of silence after which a worker is given up
    shutdown_timeout: float = 25.0  # seconds that running tasks get after SIGTERM
    not_found_patience: float = 600.0  # seconds that a path may fail to import
    max_json_size: int = 1024 * 1024  # bytes of one run's arguments, and of its result
    max_traceback_length: int = 10_000  # characters kept of a failed attempt's traceback


def conf() -> Conf:
    """The settings in force now, so that an override in a test takes effect at once."""
    given = getattr(settings, "TASKWORKS", {})
    return _conf(tuple(sorted(given.items())))


@lru_cache(maxsize=8)
def _conf(given: tuple[tuple[str, Any], ...]) -> Conf:
    known = [field.name.upper() for field in fields(Conf)]
    for key, value in given:
        if key not in known:
            raise ImproperlyConfigured(f"TASKWORKS has no key {key!r}.{nearest(key, known)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise ImproperlyConfigured(f"TASKWORKS[{key!r}] must be above 0, not {value!r}.")
    return Conf(**{key.lower(): value for key, value in given})


def nearest(name: str, known: list[str]) -> str:
    """The end of a sentence that refuses a name: the one probably meant, or all there are."""
    if close := get_close_matches(name, known, n=1):
        return f" Did you mean {close[0]!r}?"
    return f" Known are: {', '.join(sorted(known))}."
