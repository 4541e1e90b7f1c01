"""
Execute one attempt: prepare -> begin -> announce -> call -> judge.

All pools call ``prepare`` and then ``execute`` or ``aexecute``, so a task is treated the same
wherever it runs. Whatever a task raises, these return an outcome.
"""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from functools import partial
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async

from taskworks import instruments
from taskworks.conf import conf
from taskworks.context import enter
from taskworks.database.connection_places import ConnectionPlaces, Place
from taskworks.exceptions import TaskExpired, TaskNotFound
from taskworks.execution.attempt import Attempt
from taskworks.execution.coroutine_thread import CoroutineThread
from taskworks.execution.fork import called_ending_forks, ending_forks
from taskworks.execution.interrupt import CoroutineGuard, ThreadGuard
from taskworks.execution.judgement import EndRefused, ended, judge
from taskworks.execution.known_tasks import definition_of
from taskworks.execution.outcome import (
    Outcome,
    Postponed,
    Succeeded,
    cancellation,
    failure,
)
from taskworks.execution.seen_attempts import seen
from taskworks.execution.task_connections import (
    drop_connections,
    tidy_after,
    tidy_before,
)
from taskworks.execution.transaction import in_transaction
from taskworks.options.policy import Policy
from taskworks.signals import aannounce, announce, task_started
from taskworks.stand_ins import as_our_task, placeholder_for

# How long a run whose task cannot be imported is postponed.
MIN_POSTPONEMENT, MAX_POSTPONEMENT = timedelta(seconds=1), timedelta(minutes=1)


def prepare(attempt: Attempt) -> Outcome | None:
    """Find the attempt's task and policy; return an outcome if it cannot begin, else None."""
    path = attempt.run.task_path
    try:
        if attempt.run.unreadable:
            _refuse_unreadable(attempt)
        attempt.task, attempt.policy = definition_of(attempt.run)
    except TaskNotFound as error:
        attempt.task, attempt.policy = placeholder_for(path, error), Policy()
        return _not_found(attempt, error)
    except BaseException as error:  # noqa: BLE001 - not a task; or raised by its module
        attempt.task, attempt.policy = placeholder_for(path, error), Policy()
        return failure(error)
    return _expired(attempt) if attempt.run.expires_at else None


def execute(attempt: Attempt, guard: ThreadGuard, sender: type) -> Outcome:
    """Execute the attempt in this thread."""
    if not instruments.in_use or attempt.is_cancelled:
        return _execute(attempt, guard, sender)
    with seen(attempt) as see:
        return see(_execute(attempt, guard, sender))


def aexecute(
    attempt: Attempt, guard: CoroutineGuard, sender: type, places: ConnectionPlaces
) -> Awaitable[Outcome]:
    """
    Execute a coroutine function on this event loop. It has a thread, and so database connections,
    of its own for ``sync_to_async``; while it has any, it has one of the places.
    """
    if not instruments.in_use or attempt.is_cancelled:
        return _aexecute(attempt, guard, sender, places)
    return _aexecute_seen(attempt, guard, sender, places)


async def _aexecute_seen(
    attempt: Attempt, guard: CoroutineGuard, sender: type, places: ConnectionPlaces
) -> Outcome:
    with seen(attempt) as see:
        return see(await _aexecute(attempt, guard, sender, places))


def _execute(attempt: Attempt, guard: ThreadGuard, sender: type) -> Outcome:
    before = tidy_before()
    outcome = _call(attempt, guard, sender)
    attempt.returned()
    # The exception may have been raised in the middle of a database driver.
    if guard.reason:
        left_open = drop_connections()
    else:
        left_open = tidy_after(before, has_failed=not isinstance(outcome, Succeeded))
    return _checked(attempt, outcome, left_open) if left_open else outcome


async def _aexecute(
    attempt: Attempt, guard: CoroutineGuard, sender: type, places: ConnectionPlaces
) -> Outcome:
    place = Place(places)
    async with ThreadSensitiveContext() as context:
        thread = SyncToAsync.context_to_thread_executor[context] = CoroutineThread(place)
        try:
            outcome = await _acall(attempt, guard, sender)
        except asyncio.CancelledError as error:
            outcome = judge(attempt, guard.meaning(error))
        attempt.returned()
        if not thread.has_begun:
            # Or asgiref would start a thread to end the one that there is not.
            del SyncToAsync.context_to_thread_executor[context]
            return outcome
        try:
            place.end()
            left_open = await sync_to_async(drop_connections, thread_sensitive=True)()
        finally:
            place.leave()
        return _checked(attempt, outcome, left_open) if left_open else outcome


def _call(attempt: Attempt, guard: ThreadGuard, sender: type) -> Outcome:
    if attempt.is_cancelled:
        return cancellation("The run was cancelled before it began.")
    try:
        attempt.begin()
        enter(lambda: attempt.context)
        announce(task_started, sender, attempt.result)
        args, kwargs = attempt.arguments()
        task = as_our_task(attempt.task)  # Django's does not take every keyword
        call = partial(guard.call, called_ending_forks, task.call, *args, **kwargs)
        return in_transaction(attempt, call) if attempt.policy.transactional else ended(call())
    except BaseException as error:  # noqa: BLE001 - sys.exit() must only end the task
        return judge(attempt, error)


async def _acall(attempt: Attempt, guard: CoroutineGuard, sender: type) -> Outcome:
    if attempt.is_cancelled:
        return cancellation("The run was cancelled before it began.")
    try:
        attempt.begin()
        enter(lambda: attempt.context)
        await aannounce(task_started, sender, attempt.result)
        args, kwargs = attempt.arguments()
    except BaseException as error:  # noqa: BLE001 - as above
        return judge(attempt, error)
    outcome: Outcome = await guard.begin(_await(attempt, guard, args, kwargs))
    return outcome


async def _await(
    attempt: Attempt, guard: CoroutineGuard, args: list[Any], kwargs: dict[str, Any]
) -> Outcome:
    """Call the coroutine function; in an asyncio task of its own, the only one to be cancelled."""
    try:
        with ending_forks():
            returned = await as_our_task(attempt.task).acall(*args, **kwargs)
        return ended(returned)
    except BaseException as error:  # noqa: BLE001 - as above
        return judge(attempt, guard.meaning(error))


def _checked(attempt: Attempt, outcome: Outcome, left_open: set[str]) -> Outcome:
    """Turn a success into a failure, because the task's open transaction was rolled back."""
    if not isinstance(outcome, Succeeded):
        return outcome
    aliases = ", ".join(sorted(left_open))
    error = RuntimeError(f"The task left a transaction open on {aliases}: rolled back.")
    return judge(attempt, EndRefused(error))


def _not_found(attempt: Attempt, error: TaskNotFound) -> Outcome:
    """Postpone the run, as a deployment may be in progress; in the end, fail it."""
    missing_since = attempt.run.missing_since or attempt.now()
    missing_for = attempt.now() - missing_since
    if missing_for.total_seconds() > conf().not_found_patience:
        return failure(error)
    return Postponed(min(max(missing_for, MIN_POSTPONEMENT), MAX_POSTPONEMENT), error)


def _refuse_unreadable(attempt: Attempt) -> None:
    columns = ", ".join(attempt.run.unreadable)
    raise ValueError(
        f"The run's row has values that Taskworks has not written, in {columns}: it cannot be "
        "executed. Enqueue the task again."
    )


def _expired(attempt: Attempt) -> Outcome | None:
    """Return the outcome of a run that has waited too long for its first attempt, else None."""
    expires_at = attempt.run.expires_at
    if expires_at is None or attempt.run.started_at or attempt.now() <= expires_at:
        return None
    return failure(TaskExpired(f"The run waited for a worker until {expires_at}, and expired."))
