"""
Execute one attempt: prepare -> begin -> announce -> call -> classify.

Every engine's worker calls ``prepare`` and then ``execute`` or ``aexecute``; a task is treated
alike wherever it runs. Nothing a task does comes out of here but as an outcome.
"""

import asyncio
from datetime import timedelta

from asgiref.sync import ThreadSensitiveContext, sync_to_async

from taskworks.conf import conf
from taskworks.exceptions import TaskNotFound
from taskworks.execution.attempt import Attempt
from taskworks.execution.connections import (
    drop_connections,
    end_transactions,
    open_transactions,
    tidy_connections,
)
from taskworks.execution.outcome import Outcome, Postponed, Succeeded, failure, success
from taskworks.signals import aannounce, announce, task_started
from taskworks.task import missing, resolve

SHORTEST_WAIT, LONGEST_WAIT = timedelta(seconds=1), timedelta(minutes=1)


def prepare(attempt: Attempt) -> Outcome | None:
    """Find the attempt's task; why it cannot be begun, or None if it can."""
    path = attempt.run.task_path
    try:
        attempt.task = attempt.run.enqueued(resolve(path))
    except TaskNotFound as error:
        attempt.task = missing(path, error)
        return _not_found(attempt, error)
    except BaseException as error:  # noqa: BLE001 - no task, or what a module does to its importer
        attempt.task = missing(path, error)
        return failure(error)
    return None


def execute(attempt: Attempt, sender: type) -> Outcome:
    """Execute a function in this thread."""
    tidy_connections()
    outside = open_transactions()
    outcome = _call(attempt, sender)
    left_open = end_transactions(but=outside)
    tidy_connections()
    return _checked(outcome, left_open)


async def aexecute(attempt: Attempt, sender: type) -> Outcome:
    """
    Execute a coroutine function on this event loop, with a thread of its own for what it calls by
    ``sync_to_async``, and so with connections of its own.
    """
    async with ThreadSensitiveContext():
        try:
            # A task of its own, which it may even cancel.
            outcome = await asyncio.create_task(_acall(attempt, sender))
        except asyncio.CancelledError as error:
            outcome = failure(error)
        left_open = await sync_to_async(drop_connections, thread_sensitive=True)()
        return _checked(outcome, left_open)


def _call(attempt: Attempt, sender: type) -> Outcome:
    try:
        attempt.begin()
        announce(task_started, sender, attempt.result())
        args, kwargs = attempt.arguments()
        return success(attempt.task.call(*args, **kwargs))
    except BaseException as error:  # noqa: BLE001 - sys.exit() in a task ends the task only
        return failure(error)


async def _acall(attempt: Attempt, sender: type) -> Outcome:
    try:
        attempt.begin()
        await aannounce(task_started, sender, attempt.result())
        args, kwargs = attempt.arguments()
        return success(await attempt.task.acall(*args, **kwargs))
    except BaseException as error:  # noqa: BLE001 - as above
        return failure(error)


def _checked(outcome: Outcome, left_open: set[str]) -> Outcome:
    """What a task wrote in a transaction that it never ended is gone: that is no success."""
    if not left_open or not isinstance(outcome, Succeeded):
        return outcome
    aliases = ", ".join(sorted(left_open))
    return failure(RuntimeError(f"The task left a transaction open on {aliases}: rolled back."))


def _not_found(attempt: Attempt, error: TaskNotFound) -> Outcome:
    """Give a deploy ten minutes, asking ever more rarely."""
    missing_since = attempt.run.missing_since or attempt.now()
    missing_for = attempt.now() - missing_since
    if missing_for.total_seconds() > conf().not_found_patience:
        return failure(error)
    return Postponed(min(max(missing_for, SHORTEST_WAIT), LONGEST_WAIT), error)
