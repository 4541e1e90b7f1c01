"""The ``TASKWORKS`` setting: a dict in which every key has a default."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class Conf:
    """The settings in force. Each attribute is a key of ``TASKWORKS``, in lower case."""

    heartbeat_interval: float = 5.0  # seconds between two heartbeats of a worker
    worker_timeout: float = 30.0  # seconds without a heartbeat, then a worker is given up
    shutdown_timeout: float = 25.0  # seconds that running tasks have to end after SIGTERM
    interrupt_grace: float = 5.0  # seconds that an interrupted task has to end
    not_found_patience: float = 600.0  # seconds for which a task may fail to be imported
    max_json_size: int = 1024 * 1024  # bytes each of a run's args, kwargs and return value
    max_traceback_length: int = 10_000  # characters kept of a traceback
    max_messages: int = 100  # kept per run
    max_message_length: int = 1_000  # characters kept of a message
    capture_logs: bool = False  # keep what tasks log with their runs
    notify: bool = True  # notify workers of new runs, on PostgreSQL
    wakeup: str = field(default="", repr=False)  # address of a Redis that wakes workers
    endpoint_tasks_synchronous: bool = False  # execute deferrable tasks in the request
    api_tasks: tuple[str, ...] = ()  # dotted paths of typed tasks that the REST API offers
    api_authentication_classes: tuple[str, ...] = ()  # dotted paths; empty: the project's
    api_permission_classes: tuple[str, ...] = ()  # the same; or IsAuthenticated
    api_max_streams: int = 500  # open event streams per process
    api_max_anonymous_streams: int = 250  # of these, of all anonymous users
    api_max_user_streams: int = 100  # of these, per user, or per address of anonymous users
    schedule_callables: tuple[str, ...] = ()  # dotted paths that the admin offers besides tasks
    limits: Mapping[str, Any] | None = None  # the options of each limit, by its name
    statistics: bool = True  # count the outcomes of runs, and how long they wait and take
    metrics_token: str = ""  # that opens the metrics for Prometheus; empty: they are closed
    metrics_task_label: bool = True  # whether metrics tell tasks apart, and not only queues
    release: str = ""  # of the project; empty: from variables of the environment
    dashboard_access: str = ""  # dotted path of what decides who may do what; empty: permissions
    dashboard_redact: str = ""  # dotted path of what masks more of a run than its secret keys


VISIBLE = re.compile(r"[!-~]*")
_UNSET: dict[str, Any] = {}
_in_force: tuple[Any, Conf] = (_UNSET, Conf())
_lazy_settings: Any = settings  # whose type does not tell what it wraps
_unset_in: Any = None  # the settings that were seen to have no TASKWORKS


def conf() -> Conf:
    """Return the settings in force now; an override in a test takes effect at once."""
    global _in_force  # noqa: PLW0603 - a cache with one entry
    given = _UNSET if _is_known_to_be_unset() else _given()
    if given is not _in_force[0]:
        _in_force = (given, _validated(given))
    return _in_force[1]


def _is_known_to_be_unset() -> bool:
    """
    Return whether these settings still have no TASKWORKS. Each enqueue asks, and Django takes
    longest to find what is not there.
    """
    return _lazy_settings._wrapped is _unset_in and "TASKWORKS" not in vars(_unset_in)


def _given() -> Any:
    global _unset_in  # noqa: PLW0603 - a cache with one entry
    given = getattr(settings, "TASKWORKS", _UNSET)
    if given is _UNSET:
        _unset_in = _lazy_settings._wrapped
    return given


def _validated(given: Any) -> Conf:
    if not isinstance(given, dict):
        raise ImproperlyConfigured(f"TASKWORKS must be a dict, not {given!r}.")
    defaults = {one.name.upper(): one.default for one in fields(Conf)}
    for key, value in given.items():
        if key not in defaults:
            raise ImproperlyConfigured(
                f"TASKWORKS has no key {key!r}.{nearest(str(key), list(defaults))}"
            )
        _validate(key, value, defaults[key])
    conf = Conf(**{key.lower(): _hashable(value) for key, value in given.items()})
    if conf.worker_timeout < 3 * conf.heartbeat_interval:
        raise ImproperlyConfigured(
            f"TASKWORKS['WORKER_TIMEOUT'] must be at least three times HEARTBEAT_INTERVAL, which "
            f"is {conf.heartbeat_interval} seconds, not {conf.worker_timeout}."
        )
    return conf


def _validate(key: str, value: Any, default: Any) -> None:
    match default:
        case bool():
            _validate_flag(key, value)
        case None:
            _validate_dict(key, value)
        case str():
            _validate_text(key, value)
        case tuple():
            validate_paths(f"TASKWORKS[{key!r}]", value)
        case _:
            _validate_number(key, value, is_integer=isinstance(default, int))


def _validate_dict(key: str, value: Any) -> None:
    if not isinstance(value, Mapping | None):
        raise ImproperlyConfigured(f"TASKWORKS[{key!r}] must be a dict, not {value!r}.")


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _validate_number(key: str, value: Any, *, is_integer: bool) -> None:
    kind = "integer" if is_integer else "finite number"
    has_right_type = type(value) is int or (type(value) is float and not is_integer)
    if not has_right_type or not 0 < value < math.inf:
        raise ImproperlyConfigured(f"TASKWORKS[{key!r}] must be a positive {kind}, not {value!r}.")


def _validate_text(key: str, value: Any) -> None:
    if not isinstance(value, str):
        shown = type(value).__name__ if key == "WAKEUP" else repr(value)  # it may have a password
        raise ImproperlyConfigured(f"TASKWORKS[{key!r}] must be a string, not {shown}.")
    if key.endswith("_TOKEN") and not VISIBLE.fullmatch(value):  # which is not shown
        raise ImproperlyConfigured(
            f"TASKWORKS[{key!r}] must be letters, digits and punctuation of ASCII, without spaces: "
            "a header can carry nothing else."
        )


def _validate_flag(key: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ImproperlyConfigured(f"TASKWORKS[{key!r}] must be True or False, not {value!r}.")


def validate_paths(name: str, value: Any) -> None:
    """Raise ImproperlyConfigured if the value is not a list of dotted paths."""
    if not isinstance(value, list | tuple):
        raise ImproperlyConfigured(f"{name} must be a list of dotted paths, not {value!r}.")
    for path in value:
        if not isinstance(path, str) or "." not in path:
            raise ImproperlyConfigured(
                f"{name} must be a list of dotted paths such as 'shop.tasks.Sum'; it has {path!r}."
            )


def nearest(name: str, known: list[str]) -> str:
    """Return the end of an error about an unknown name: the closest known one, or all of them."""
    return close_to(name, known) or f" Choose from: {', '.join(sorted(known))}."


def close_to(name: str, known: list[str]) -> str:
    """Return the same if a known name is close to it, else nothing."""
    close = get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
