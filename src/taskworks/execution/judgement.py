"""Determine the outcome of an attempt that returned, that raised, or whose process died."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from taskworks.database.exhaustion import has_no_connection_left
from taskworks.durations import seconds
from taskworks.exceptions import (
    InvalidOutputs,
    InvalidStepValue,
    TaskCancelled,
    TaskCrashed,
    TaskPoisoned,
    TaskSuspended,
    TaskTimeout,
)
from taskworks.execution.attempt import Attempt
from taskworks.execution.interrupt import Reason, WorkerStops
from taskworks.execution.outcome import (
    Cancelled,
    Crashed,
    InDoubt,
    Outcome,
    Poisoned,
    Postponed,
    Retried,
    Settled,
    Snoozed,
    Succeeded,
    Suspended,
    error_entry,
    failure,
    success,
)
from taskworks.logs import steady_logger
from taskworks.options.policy import ALONE, DEFAULT_BACKOFF
from taskworks.retry import Backoff, BackoffFunction, Retry, Snooze

OF_AN_END = (TypeError, ValueError, RuntimeError)  # errors that Taskworks itself finds there
CONNECTION_PAUSE = timedelta(seconds=4)  # at most, after which a connection may be free again
MAX_CRASHES = 3  # of a run that is executed alone, which is then poison

logger = steady_logger(__name__)


class EndRefused(Exception):  # noqa: N818 - never leaves the execution
    """The last line of the task has run, and then ``error`` was found."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


def ended(returned: Any) -> Succeeded:
    """Return the outcome of a task that returned; raise EndRefused if that cannot be stored."""
    try:
        return success(returned)
    except BaseException as error:
        raise EndRefused(error) from error


def judge(  # noqa: PLR0911 - one case per kind of exception
    attempt: Attempt, exception: BaseException
) -> Settled:
    """Return the outcome of an attempt that raised; whatever it raised, this does not raise."""
    match exception:
        case WorkerStops():
            return attempt.abandon()
        case TaskTimeout(args=(Reason.TIMEOUT.value,)):
            exception.args = (f"The attempt took longer than {attempt.policy.timeout:g} s.",)
            return _failed_or_retried(attempt, exception)
        case TaskCancelled():
            return Cancelled(exception, error_entry(exception))
        case Snooze(after=float(after), _holds_key=holds_key):
            return Snoozed(timedelta(seconds=after), holds_key=holds_key)
        case TaskSuspended(after=after, seen=seen):
            return _suspended(after, seen)
        case BaseExceptionGroup() if suspended := _only_suspended(exception):
            return _suspended(*suspended)
        case EndRefused(error=error) | (InvalidOutputs() | InvalidStepValue() as error):
            return _refused(attempt, error)
        case _:
            return _postponed(attempt, exception) or _failed_or_retried(attempt, exception)


def _suspended(after: float, seen: frozenset[str] | None) -> Snoozed | Suspended:
    delay = timedelta(seconds=after)
    return Snoozed(delay) if seen is None else Suspended(delay, seen)


def _only_suspended(
    group: BaseExceptionGroup[BaseException],
) -> tuple[float, frozenset[str] | None] | None:
    """
    Return until when a run sleeps, or waits, whose coroutines do so in an ``asyncio.TaskGroup``;
    None if one of them has failed.
    """
    try:
        sleeping, others = group.split(TaskSuspended)
        leaves = [] if sleeping is None or others else [*_leaves_of(sleeping)]
    except Exception:  # noqa: BLE001 - a task's exception may do anything when asked
        return None
    if not leaves:
        return None
    seen = [leaf.seen for leaf in leaves if leaf.seen is not None]
    return min(leaf.after for leaf in leaves), frozenset.intersection(*seen) if seen else None


def _leaves_of(group: BaseExceptionGroup[TaskSuspended]) -> Iterator[TaskSuspended]:
    for one in group.exceptions:
        if isinstance(one, BaseExceptionGroup):
            yield from _leaves_of(one)
        else:
            yield one


def judge_stuck(attempt: Attempt, exception: BaseException) -> Settled:
    """Do the same without calling a backoff function, which might not return either."""
    if not isinstance(attempt.policy.backoff, Backoff | float):
        attempt.policy = replace(attempt.policy, backoff=DEFAULT_BACKOFF)
    return judge(attempt, exception)


def judge_crash(attempt: Attempt, exception: TaskCrashed) -> Outcome:
    """
    Return the outcome of an attempt whose process died. It is a failure like others, except that
    an at-most-once run is not retried, and a run that was executed alone because it was suspected
    of a crash is executed again, until it has crashed ``MAX_CRASHES`` times.
    """
    outcome = _crashed(attempt, exception)
    return InDoubt(outcome) if attempt.policy.transactional else outcome


def _crashed(attempt: Attempt, exception: TaskCrashed) -> Settled:
    if attempt.run.at_most_once:
        return failure(exception)
    if attempt.run.executor != ALONE:
        return judge(attempt, exception)
    if attempt.run.crashes + 1 < MAX_CRASHES:
        return Crashed(exception, error_entry(exception))
    poisoned = TaskPoisoned(
        f"{exception} The run was executed alone and has crashed its process {MAX_CRASHES} times, "
        "so it is not executed again unless somebody retries it."
    )
    return Poisoned(poisoned, error_entry(poisoned))


def _refused(attempt: Attempt, exception: BaseException) -> Settled:
    """
    Return the outcome of a task that has done its work. Another attempt would do it again, so there
    is none unless ``retry_on`` names this very class.
    """
    if type(exception) in attempt.policy.retry_on:
        return _failed_or_retried(attempt, exception)
    if type(exception) in OF_AN_END and attempt.run.failures + 1 < attempt.policy.max_attempts:
        name = type(exception).__name__
        exception.args = (
            f"{exception} The task had done its work, so it is not attempted again. If it is to "
            f"be, name {name} in retry_on.",
        )
    return failure(exception)


def _postponed(attempt: Attempt, exception: BaseException) -> Postponed | None:
    """
    Return the outcome of an attempt that got no database connection because none was left: the run
    is given back, unless it may begin only once. Those who need one do not all come back at once.
    """
    if isinstance(exception, Exception) and has_no_connection_left(exception):
        pause = CONNECTION_PAUSE * random.uniform(0.5, 1)  # noqa: S311 - no secret
        return None if attempt.run.at_most_once else Postponed(pause, exception)
    return None


def _failed_or_retried(attempt: Attempt, exception: BaseException) -> Settled:
    failed = failure(exception)
    try:
        delay = _delay(attempt, exception)
    except BaseException as unexpected:  # noqa: BLE001 - an exception's class may override anything
        logger.error(
            "Deciding on a retry of run %s raised %s.", attempt.run.id, type(unexpected).__name__
        )
        delay = None
    return failed if delay is None else Retried(exception, failed.entry, timedelta(seconds=delay))


def _delay(attempt: Attempt, exception: BaseException) -> float | None:
    """Return the seconds until the next attempt; None if there is none."""
    if attempt.run.failures + 1 >= attempt.policy.max_attempts:
        return None
    if isinstance(exception, Retry):
        return _backoff(attempt, exception) if exception.after is None else exception.after
    return _backoff(attempt, exception) if attempt.policy.retries(exception) else None


def _backoff(attempt: Attempt, exception: BaseException) -> float | None:
    match attempt.policy.backoff:
        case Backoff() as backoff:
            return backoff.delay(attempt.run.failures + 1)
        case int() | float() as constant:
            return constant
        case function:
            return _call_backoff(attempt, exception, function)


def _call_backoff(
    attempt: Attempt, exception: BaseException, backoff: BackoffFunction
) -> float | None:
    """Call the function; if it raises or returns something invalid, use the default."""
    try:
        delay = backoff(exception, attempt.result())
        return None if delay is None else seconds(delay, "The delay that backoff returned")
    except BaseException:
        logger.exception(
            "The backoff function of %s failed, so the default backoff is used.",
            attempt.run.task_path,
        )
        return Backoff().delay(attempt.run.failures + 1)
