"""
Execute one attempt: prepare -> begin -> announce -> call -> classify.

Every engine's worker calls ``prepare`` and then ``execute`` or ``aexecute``; a task is treated
alike wherever it runs. Nothing a task does comes out of here but as an outcome.
"""

from datetime import timedelta

from asgiref.sync import sync_to_async

from taskworks.conf import conf
from taskworks.exceptions import InvalidTask, TaskNotFound
from taskworks.execution.attempt import Attempt
from taskworks.execution.connections import own_connections, tidy_connections
from taskworks.execution.outcome import Failed, Outcome, Postponed, success
from taskworks.signals import aannounce, announce, task_started
from taskworks.task import resolve

SHORTEST_WAIT, LONGEST_WAIT = timedelta(seconds=1), timedelta(minutes=1)


def prepare(attempt: Attempt) -> Outcome | None:
    """Why the attempt cannot be begun, or None if it can."""
    try:
        resolve(attempt.run.task_path)
    except TaskNotFound as error:
        return _not_found(attempt, error)
    except InvalidTask as error:
        return Failed(error)
    return None


def execute(attempt: Attempt, sender: type) -> Outcome:
    """Execute a function in this thread."""
    with own_connections():
        try:
            attempt.begin()
            announce(task_started, sender, attempt.result())
            args, kwargs = attempt.arguments()
            return success(attempt.task.call(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - sys.exit() in a task ends the task only
            return Failed(error)


async def aexecute(attempt: Attempt, sender: type) -> Outcome:
    """Execute a coroutine function on this event loop."""
    try:
        attempt.begin()
        await aannounce(task_started, sender, attempt.result())
        args, kwargs = attempt.arguments()
        return success(await attempt.task.acall(*args, **kwargs))
    except BaseException as error:  # noqa: BLE001 - as above, and a cancelled task has failed
        return Failed(error)
    finally:
        # Coroutines share the thread of their sync_to_async() calls, and so its connections.
        await sync_to_async(tidy_connections, thread_sensitive=True)()


def _not_found(attempt: Attempt, error: TaskNotFound) -> Outcome:
    """Give a deploy ten minutes, asking ever more rarely."""
    missing_since = attempt.run.missing_since or attempt.now()
    missing_for = attempt.now() - missing_since
    if missing_for.total_seconds() > conf().not_found_patience:
        return Failed(error)
    return Postponed(min(max(missing_for, SHORTEST_WAIT), LONGEST_WAIT), error)
