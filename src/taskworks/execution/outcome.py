"""What became of an attempt, as a value."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from traceback import TracebackException
from types import TracebackType
from typing import Any

from taskworks import jsonvalue
from taskworks.conf import conf
from taskworks.exceptions import TaskCancelled, TaskLost

# Modules between a worker and the function of a task.
OUR_OWN = (
    "taskworks.execution",
    "taskworks.framework",
    "taskworks.discovery",
    "taskworks.definition",
    "taskworks.endpoints",
    "taskworks.typed",
    "taskworks.parameters",
    "django.tasks",
)


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The task returned a value that can be stored."""

    return_value: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """The task raised, returned what is no JSON, or could not be begun; there is no other try."""

    exception: BaseException
    entry: dict[str, str]  # what is stored of it


@dataclass(frozen=True, slots=True)
class Retried:
    """The attempt failed, and another is made after the delay."""

    exception: BaseException
    entry: dict[str, str]
    delay: timedelta


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The task asked to be executed later; the attempt does not count."""

    delay: timedelta


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Somebody did not want the run any more."""

    exception: BaseException
    entry: dict[str, str]


@dataclass(frozen=True, slots=True)
class Released:
    """The worker stopped in the middle of it; the attempt does not count."""


@dataclass(frozen=True, slots=True)
class Crashed:
    """It was executed alone, and its process has died of it; that is no failure."""

    exception: BaseException
    entry: dict[str, str]


@dataclass(frozen=True, slots=True)
class Poisoned:
    """That has happened too often: there is no other try."""

    exception: BaseException
    entry: dict[str, str]


@dataclass(frozen=True, slots=True)
class Lost:
    """It may be executed once only, and nobody knows how far it has got."""

    exception: BaseException
    entry: dict[str, str]


@dataclass(frozen=True, slots=True)
class Committed:
    """The task returned, and that is stored already: it was the end of the task's transaction."""

    return_value: Any
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class Fenced:
    """The run was somebody else's by then: the task's transaction was rolled back."""


@dataclass(frozen=True, slots=True)
class InDoubt:
    """Only the run tells whether its task's transaction was committed; ``otherwise`` if not."""

    otherwise: "Outcome"


@dataclass(frozen=True, slots=True)
class Postponed:
    """Nothing was executed: the path does not import yet, and may after a deploy."""

    delay: timedelta
    reason: Exception


Outcome = (
    Succeeded
    | Failed
    | Retried
    | Snoozed
    | Cancelled
    | Released
    | Postponed
    | Crashed
    | Poisoned
    | Lost
    | Committed
    | Fenced
    | InDoubt
)


def success(returned: Any) -> Succeeded:
    """The outcome of a task that returned; raise TypeError or ValueError if that is no JSON."""
    return Succeeded(jsonvalue.round_trip(returned, "return_value"))


def cancellation(reason: str) -> Cancelled:
    """The outcome of a run that is cancelled without the task's own lines having been stopped."""
    exception = TaskCancelled(reason)
    return Cancelled(exception, error_entry(exception))


def loss(reason: str) -> Lost:
    """The outcome of a run that nobody knows the end of, and that is not executed again."""
    exception = TaskLost(reason)
    return Lost(exception, error_entry(exception))


def failure(exception: BaseException) -> Failed:
    """The outcome of a task that raised; whatever it raised, this does not."""
    try:
        return Failed(exception, error_entry(exception))
    except BaseException as odd:  # noqa: BLE001 - an exception's class may do anything when asked
        return Failed(
            exception,
            {
                "exception_class_path": "builtins.BaseException",
                "traceback": f"{object.__repr__(exception)}, which {type(odd)!r} hides\n",
            },
        )


def error_entry(exception: BaseException) -> dict[str, str]:
    """What is stored of an exception: its class and its traceback, cleaned and cut."""
    kind = type(exception)
    return {
        "exception_class_path": jsonvalue.printable(f"{kind.__module__}.{kind.__qualname__}")[:512],
        "traceback": _cut(jsonvalue.printable(_traceback(exception)), conf().max_traceback_length),
    }


def _traceback(exception: BaseException) -> str:
    try:
        frames = _of_the_task(exception.__traceback__)
        return "".join(TracebackException(type(exception), exception, frames).format())
    except Exception as unprintable:  # noqa: BLE001 - a task's exception may do anything
        kind = type(exception)
        return f"{kind.__module__}.{kind.__qualname__}: <no traceback: {unprintable!r}>\n"


def _of_the_task(frames: TracebackType | None) -> TracebackType | None:
    """Without those that lead from the worker to the task, if there are others."""
    inner = frames
    while inner and inner.tb_frame.f_globals.get("__name__", "").startswith(OUR_OWN):
        inner = inner.tb_next
    return inner or frames


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    # The end tells what was raised, the beginning how it came to it.
    half = limit // 2
    left_out = f"\n... {len(text) - limit:,} characters left out ...\n"
    return text[:half] + left_out + text[len(text) - half :]
