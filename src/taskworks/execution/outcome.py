"""
What became of an attempt, as a value: the verb that writes it, the word by which instruments know
it, and the counts of statistics that it raises.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, auto
from traceback import TracebackException
from types import TracebackType
from typing import Any, ClassVar
from uuid import UUID

from taskworks import jsonvalue
from taskworks.conf import conf
from taskworks.exceptions import TaskCancelled, TaskLost

# Packages between a worker and the function of a task.
MACHINERY = ("taskworks.", "django.tasks.", "asgiref.", "asyncio.", "concurrent.futures.")


class Verb(IntEnum):
    """The store verb that writes an outcome."""

    REQUEUE = auto()
    RELEASE = auto()
    PARK = auto()
    FINISH = auto()
    POISON = auto()
    SUSPEND = auto()
    NONE_IS_COMMITTED = auto()  # the task's own transaction has written it
    NONE_IS_FENCED = auto()  # the run belongs to another worker


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The task returned a value that can be stored."""

    verb: ClassVar = Verb.FINISH
    word: ClassVar = "successful"
    counts: ClassVar[tuple[str, ...]] = ("successful",)

    return_value: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """
    The run has failed for good: the task raised, its result is not JSON, or it could not begin.
    """

    verb: ClassVar = Verb.FINISH
    word: ClassVar = "failed"
    counts: ClassVar[tuple[str, ...]] = ("failed",)

    exception: BaseException
    entry: dict[str, str]  # what is stored of the exception


@dataclass(frozen=True, slots=True)
class Retried:
    """The attempt failed, and another one follows after the delay."""

    verb: ClassVar = Verb.REQUEUE
    word: ClassVar = "retried"
    counts: ClassVar[tuple[str, ...]] = ("retried",)

    exception: BaseException
    entry: dict[str, str]
    delay: timedelta


@dataclass(frozen=True, slots=True)
class Snoozed:
    """
    The task asked to run later; the attempt does not count. With ``holds_key``, no other run with
    its key is to be claimed from its limit until then.
    """

    verb: ClassVar = Verb.REQUEUE
    word: ClassVar = "snoozed"
    counts: ClassVar[tuple[str, ...]] = ("snoozed",)

    delay: timedelta
    holds_key: bool = False


@dataclass(frozen=True, slots=True)
class Suspended:
    """
    The task waits for an event, for as long as the delay; the attempt does not count. ``seen`` are
    the events that had ended when the task looked: another one is news.
    """

    verb: ClassVar = Verb.SUSPEND
    word: ClassVar = "snoozed"
    counts: ClassVar[tuple[str, ...]] = ("snoozed",)

    delay: timedelta
    seen: frozenset[str]


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The run was cancelled."""

    verb: ClassVar = Verb.FINISH
    word: ClassVar = "cancelled"
    counts: ClassVar[tuple[str, ...]] = ("cancelled",)

    exception: BaseException
    entry: dict[str, str]


@dataclass(frozen=True, slots=True)
class Released:
    """The worker gives the run back before its end; the attempt does not count."""

    verb: ClassVar = Verb.RELEASE
    word: ClassVar = "released"
    counts: ClassVar[tuple[str, ...]] = ("released",)


@dataclass(frozen=True, slots=True)
class Parked:
    """The run's task is paused: it waits for the end of this pause, in its place."""

    verb: ClassVar = Verb.PARK
    word: ClassVar = "released"
    counts: ClassVar[tuple[str, ...]] = ("released",)

    pause: UUID


@dataclass(frozen=True, slots=True)
class Postponed:
    """
    There is something that the run needs and cannot have yet: its task, which may come with a
    deploy, or a database connection, or a child process. The attempt does not count.
    """

    verb: ClassVar = Verb.REQUEUE
    word: ClassVar = "postponed"
    counts: ClassVar[tuple[str, ...]] = ("postponed",)

    delay: timedelta
    reason: Exception


@dataclass(frozen=True, slots=True)
class Crashed:
    """The run was executed alone, and its process died. That is not a failure."""

    verb: ClassVar = Verb.REQUEUE
    word: ClassVar = "crashed"
    counts: ClassVar[tuple[str, ...]] = ("crashed",)

    exception: BaseException
    entry: dict[str, str]


@dataclass(frozen=True, slots=True)
class Poisoned:
    """The run was executed alone and its process has died too often: it has failed for good."""

    verb: ClassVar = Verb.POISON
    word: ClassVar = "failed"
    counts: ClassVar[tuple[str, ...]] = ("failed", "crashed")

    exception: BaseException
    entry: dict[str, str]


@dataclass(frozen=True, slots=True)
class Lost:
    """An at-most-once run had begun, and nobody knows how far it got."""

    verb: ClassVar = Verb.FINISH
    word: ClassVar = "lost"
    counts: ClassVar[tuple[str, ...]] = ("failed", "lost")

    exception: BaseException
    entry: dict[str, str]


@dataclass(frozen=True, slots=True)
class Committed:
    """The task returned, and its own transaction has stored the result."""

    verb: ClassVar = Verb.NONE_IS_COMMITTED
    word: ClassVar = "successful"
    counts: ClassVar[tuple[str, ...]] = ("successful",)

    return_value: Any
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class Fenced:
    """The run belongs to another worker by now: nothing is written."""

    verb: ClassVar = Verb.NONE_IS_FENCED
    word: ClassVar = "released"
    counts: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True, slots=True)
class InDoubt:
    """
    The answer to the COMMIT of the task's own transaction was lost. The run's row tells whether it
    went through; if it did not, the outcome is ``otherwise``.
    """

    word: ClassVar = "unknown"
    counts: ClassVar[tuple[str, ...]] = ()

    otherwise: "Settled"


# What an attempt can end with. Where these are told apart, ``assert_never`` refuses a new one.
Settled = (
    Succeeded
    | Failed
    | Retried
    | Snoozed
    | Suspended
    | Cancelled
    | Released
    | Parked
    | Postponed
    | Crashed
    | Poisoned
    | Lost
    | Committed
    | Fenced
)
Outcome = Settled | InDoubt


def success(returned: Any) -> Succeeded:
    """Return the outcome of a task that returned; raise TypeError or ValueError if not JSON."""
    return Succeeded(jsonvalue.round_trip(returned, "return_value"))


def cancellation(reason: str) -> Cancelled:
    """Return the outcome of a cancelled run whose task was not interrupted."""
    exception = TaskCancelled(reason)
    return Cancelled(exception, error_entry(exception))


def loss(reason: str) -> Lost:
    """Return the outcome of a run whose end is unknown, and that is not executed again."""
    exception = TaskLost(reason)
    return Lost(exception, error_entry(exception))


def failure(exception: BaseException) -> Failed:
    """Return the outcome of a task that raised; whatever it raised, this does not raise."""
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
    """
    Return what is stored of an exception: its class and traceback, cleaned and cut. From now on its
    traceback begins with the task's own frames, whoever prints it.
    """
    _begin_with_the_task(exception)
    kind = type(exception)
    return {
        "exception_class_path": jsonvalue.printable(f"{kind.__module__}.{kind.__qualname__}")[:512],
        "traceback": _cut(jsonvalue.printable(_traceback(exception)), conf().max_traceback_length),
    }


def _begin_with_the_task(exception: BaseException) -> None:
    """Leave out the frames between the worker and the task, also of what the exception is from."""
    seen: set[int] = set()
    left: list[BaseException | None] = [exception]
    with suppress(Exception):  # a task's exception may do anything
        while left:
            error = left.pop()
            if error is None or id(error) in seen:
                continue
            seen.add(id(error))
            BaseException.with_traceback(error, _of_the_task(error.__traceback__))
            left += [error.__cause__, error.__context__]
            left += error.exceptions if isinstance(error, BaseExceptionGroup) else []


def _of_the_task(frames: TracebackType | None) -> TracebackType | None:
    while frames and f"{frames.tb_frame.f_globals.get('__name__')}.".startswith(MACHINERY):
        frames = frames.tb_next
    return frames


def _traceback(exception: BaseException) -> str:
    try:
        return "".join(TracebackException.from_exception(exception).format())
    except Exception as unprintable:  # noqa: BLE001 - a task's exception may do anything
        kind = type(exception)
        return f"{kind.__module__}.{kind.__qualname__}: <no traceback: {unprintable!r}>\n"


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    # The end says what was raised, the beginning where it came from.
    half = limit // 2
    left_out = f"\n... {len(text) - limit:,} characters left out ...\n"
    return text[:half] + left_out + text[len(text) - half :]
