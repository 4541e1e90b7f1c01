"""
The options of a task, and which values are valid.

An option that was not given is None on the task. It is then taken from ``QUEUE_DEFAULTS`` or
``TASK_DEFAULTS`` in ``TASKS[alias]["OPTIONS"]``, or else from the defaults of ``Policy``, as they
are when the run is executed: see ``in_force``. Options changed by ``using()`` are stored with the
run: see ``stored``.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from inspect import isbuiltin, iscoroutinefunction, signature
from typing import Any

from taskworks.durations import seconds
from taskworks.exceptions import InvalidTask
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
