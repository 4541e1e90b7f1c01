"""
The options of a task: which values are valid, which are in force, and how they are stored.

An option that was not given is None on the task. It is then taken from ``QUEUE_DEFAULTS`` or
``TASK_DEFAULTS`` in ``TASKS[alias]["OPTIONS"]``, or else from the defaults of ``Policy``, as they
are when the run is executed. Options changed by ``using()`` are stored with the run.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import lru_cache
from inspect import isbuiltin, iscoroutinefunction, signature
from typing import Any
from weakref import WeakKeyDictionary

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from taskworks.conf import nearest
from taskworks.durations import seconds
from taskworks.exceptions import InvalidTask
from taskworks.framework import BaseTaskBackend
from taskworks.retry import Backoff, BackoffFunction

THREAD, PROCESS, ASYNC = EXECUTORS = ("thread", "process", "async")
# The executor of runs whose worker died: a child process. Not an option of a task.
ALONE = "alone"
LANES = (*EXECUTORS, ALONE)  # in which ready runs wait for a worker
AT_LEAST_ONCE, AT_MOST_ONCE = DELIVERIES = ("at_least_once", "at_most_once")
DEFAULT_BACKOFF = Backoff()
MAX_ATTEMPTS = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The options of a task in force, defaults included."""

    max_attempts: int = 1  # failures after which there is no further attempt
    backoff: float | Backoff | BackoffFunction = DEFAULT_BACKOFF  # seconds between two attempts
    retry_on: tuple[type[BaseException], ...] = (BaseException,)
    give_up_on: tuple[type[BaseException], ...] = ()
    timeout: float = math.inf  # seconds that an attempt may take
    expires: float = math.inf  # seconds that a run may wait for its first attempt
    executor: str = THREAD
    delivery: str = AT_LEAST_ONCE
    transactional: bool = False  # the task and its finish are committed together

    def retries(self, exception: BaseException) -> bool:
        """Return whether a failure with this exception is followed by another attempt."""
        return isinstance(exception, self.retry_on) and not isinstance(exception, self.give_up_on)


OPTIONS = tuple(field.name for field in fields(Policy))


def validated(options: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the options that are not None, converted to the types of ``Policy``.

    Raise InvalidTask for the first that is not valid.
    """
    given = {name: options.get(name) for name in OPTIONS}
    try:
        return {
            name: VALID[name](value, name) for name, value in given.items() if value is not None
        }
    except ValueError as error:
        raise InvalidTask(str(error)) from None


def policy_of(
    options: Mapping[str, Any],
    function: Callable[..., Any],
    queue_name: str,
    backend: BaseTaskBackend,
) -> Policy:
    """Return the policy of a task with these options; raise InvalidTask for an invalid one."""
    given = tuple((name, value) for name, value in options.items() if value is not None)
    try:
        return _cached_policy(given, function, queue_name, backend)
    except TypeError:  # an option is not hashable
        return _policy(given, function, queue_name, backend)


def _policy(
    options: tuple[tuple[str, Any], ...],
    function: Callable[..., Any],
    queue_name: str,
    backend: BaseTaskBackend,
) -> Policy:
    inherited = defaults_of(backend).of(queue_name)
    given = validated(dict(options))
    executor = _executor_in_force(function, given, inherited)
    transactional = _transactional_in_force(function, executor, given, inherited)
    return Policy(**{**inherited, **given, "executor": executor, "transactional": transactional})


def _executor_in_force(
    function: Callable[..., Any], given: Mapping[str, Any], inherited: Mapping[str, Any]
) -> str:
    kind = ASYNC if iscoroutinefunction(function) else THREAD
    executor: str = given.get("executor", inherited.get("executor", kind))
    if executor in (kind, PROCESS):
        return executor
    if "executor" in given:
        raise InvalidTask(
            f"executor={executor!r} does not fit {function.__qualname__!r}, which is "
            f"{'a' if kind == ASYNC else 'not a'} coroutine function: use {kind!r} or {PROCESS!r}."
        )
    return kind  # a default applies only to the tasks that it fits


def _transactional_in_force(
    function: Callable[..., Any],
    executor: str,
    given: Mapping[str, Any],
    inherited: Mapping[str, Any],
) -> bool:
    wanted: bool = given.get("transactional", inherited.get("transactional", False))
    if wanted and executor == ASYNC and "transactional" in given:
        raise InvalidTask(
            f"transactional=True does not fit {function.__qualname__!r}, a coroutine function on "
            "the event loop, which would not have a transaction of its own: use "
            f"executor={PROCESS!r}, or make it a function."
        )
    return wanted and executor != ASYNC  # likewise, a default that does not fit is ignored


_cached_policy = lru_cache(maxsize=1000)(_policy)  # needed for every run


# Defaults in settings.


@dataclass(frozen=True, slots=True)
class Defaults:
    """TASK_DEFAULTS and QUEUE_DEFAULTS of a backend."""

    tasks: Mapping[str, Any]
    queues: Mapping[str, Mapping[str, Any]]

    def of(self, queue_name: str) -> Mapping[str, Any]:
        """Return the defaults of a queue."""
        return self.queues.get(queue_name, self.tasks)


_defaults: WeakKeyDictionary[BaseTaskBackend, Defaults] = WeakKeyDictionary()


def defaults_of(backend: BaseTaskBackend) -> Defaults:
    """Return the defaults in a backend's OPTIONS; raise ImproperlyConfigured if invalid."""
    if backend not in _defaults:
        _defaults[backend] = _read_defaults(backend)
    return _defaults[backend]


def _read_defaults(backend: BaseTaskBackend) -> Defaults:
    place = f"TASKS[{backend.alias!r}]['OPTIONS']"
    tasks = _valid_defaults(backend.options.get("TASK_DEFAULTS", {}), f"{place}['TASK_DEFAULTS']")
    queues = backend.options.get("QUEUE_DEFAULTS", {})
    if not isinstance(queues, Mapping):
        raise ImproperlyConfigured(f"{place}['QUEUE_DEFAULTS'] must be a dict, not {queues!r}.")
    for queue in queues:
        if backend.queues and queue not in backend.queues:
            raise ImproperlyConfigured(
                f"{place}['QUEUE_DEFAULTS'] has the queue {queue!r}, which is not in 'QUEUES'."
                f"{nearest(str(queue), list(backend.queues))}"
            )
    return Defaults(
        tasks,
        {
            queue: {**tasks, **_valid_defaults(given, f"{place}['QUEUE_DEFAULTS'][{queue!r}]")}
            for queue, given in queues.items()
        },
    )


def _valid_defaults(given: Any, place: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"{place} must be a dict of options, not {given!r}.")
    for name in given:
        if name not in OPTIONS:
            raise ImproperlyConfigured(
                f"{place} has no option {name!r}.{nearest(str(name), list(OPTIONS))}"
            )
    try:
        return validated({name: _imported(name, value) for name, value in given.items()})
    except Exception as error:  # a module may raise anything while it is imported
        raise ImproperlyConfigured(f"{place}: {error}") from error


def _imported(name: str, value: Any) -> Any:
    """Import what settings and rows refer to by its path."""
    match name, value:
        case "retry_on" | "give_up_on" | "backoff", str(path):
            return import_string(path)
        case "retry_on" | "give_up_on", list() | tuple() | set():
            return tuple(_imported(name, item) for item in value)
        case _:
            return value


# Rows.


def to_stored(changed: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return changed options as JSON. Raise InvalidTask for a class or function that a worker could
    not import by its path.
    """
    given = validated(changed)
    return {name: _as_json(value, name) for name, value in given.items()}


def from_stored(stored: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return options read from JSON; raise ImportError if a class or function is missing, InvalidTask
    for what ``@task`` would refuse: whoever may write rows may write anything.
    """
    for name in stored:
        if name not in OPTIONS:
            raise InvalidTask(f"There is no option {name!r}.{nearest(name, list(OPTIONS))}")
    return validated({name: _read(value, name) for name, value in stored.items()})


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


def _read(value: Any, name: str) -> Any:
    if value is None:
        return math.inf
    if name == "backoff" and isinstance(value, list):
        return _read_backoff(value)
    try:
        return _imported(name, value)
    except (Exception, SystemExit) as error:  # a module may raise anything while it is imported
        raise ImportError(f"{type(error).__name__}: {error}") from error


def _read_backoff(numbers: list[Any]) -> Backoff:
    try:
        return Backoff(*numbers)
    except (TypeError, ValueError) as error:
        raise InvalidTask(f"backoff must not be stored as {numbers!r:.200}: {error}") from None


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


# What is valid.


def _attempts(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_ATTEMPTS:
        raise ValueError(f"{name} must be an integer from 1 to {MAX_ATTEMPTS}, not {value!r}.")
    return value


def _backoff(value: Any, name: str) -> Any:
    if isinstance(value, Backoff) or _is_backoff_function(value):
        return value
    if isinstance(value, int | float | timedelta):
        return seconds(value, name)
    raise ValueError(
        f"{name} must be seconds, a timedelta, a Backoff, or a function of an exception and a "
        f"task result, not {value!r}."
    )


def _is_backoff_function(value: Any) -> bool:
    if not callable(value) or isinstance(value, type) or iscoroutinefunction(value):
        return False
    try:
        signature(value).bind(None, None)
    except ValueError:  # it has no signature
        return not isbuiltin(value)
    except Exception:  # noqa: BLE001 - it does not take these two; or its attributes are odd
        return False
    return True


def _classes(value: Any, name: str) -> tuple[type[BaseException], ...]:
    items = value if isinstance(value, Iterable) and not isinstance(value, str | type) else [value]
    classes = tuple(items)
    for item in classes:
        if not isinstance(item, type) or not issubclass(item, BaseException):
            raise ValueError(f"{name} must be one or more exception classes, not {item!r}.")
    return classes


def _limit(value: Any, name: str) -> float:
    limit = math.inf if value == math.inf else seconds(value, name)
    if not limit:
        raise ValueError(f"{name} must be greater than 0, or float('inf') for no limit.")
    return limit


def _executor(value: Any, name: str) -> str:
    if value not in EXECUTORS:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, EXECUTORS))}, not {value!r}.")
    return str(value)


def _delivery(value: Any, name: str) -> str:
    if value not in DELIVERIES:
        raise ValueError(
            f"{name} must be one of {', '.join(map(repr, DELIVERIES))}, not {value!r}."
        )
    return str(value)


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, not {value!r}.")
    return value


VALID: dict[str, Callable[[Any, str], Any]] = {
    "max_attempts": _attempts,
    "backoff": _backoff,
    "retry_on": _classes,
    "give_up_on": _classes,
    "timeout": _limit,
    "expires": _limit,
    "executor": _executor,
    "delivery": _delivery,
    "transactional": _flag,
}
