"""
The standard's three signals, on Django 6.0 and later Django's very objects, and two of ours.

``sender`` is the backend's class, ``task_result`` a snapshot of the run. A receiver that raises
is logged by ``django.dispatch``, and changes nothing of a run. Receivers may be async.

``task_retried`` is sent when an attempt has failed and another follows, with ``delay``, a
timedelta; ``task_cancelled`` when a run is cancelled, after ``task_finished``.
"""

import logging
from typing import Any

from django.dispatch import Signal

from taskworks.framework import TaskResult, task_enqueued, task_finished, task_started

__all__ = [
    "aannounce",
    "announce",
    "announce_cancelled",
    "task_cancelled",
    "task_enqueued",
    "task_finished",
    "task_retried",
    "task_started",
]

task_retried = Signal()
task_cancelled = Signal()

logger = logging.getLogger(__name__)


def announce(signal: Signal, sender: type, task_result: TaskResult, **more: Any) -> None:
    """Send a signal from a worker, which not even a receiver's sys.exit() may stop."""
    try:
        signal.send_robust(sender, task_result=task_result, **more)
    except BaseException as error:  # noqa: BLE001 - a log's handler may meet an odd exception
        _log_odd(error, task_result)


async def aannounce(signal: Signal, sender: type, task_result: TaskResult) -> None:
    """See announce()."""
    try:
        await signal.asend_robust(sender, task_result=task_result)
    except BaseException as error:  # noqa: BLE001 - as above
        _log_odd(error, task_result)


def announce_cancelled(sender: type, task_result: TaskResult) -> None:
    """A run is cancelled, and has thereby finished."""
    announce(task_finished, sender, task_result)
    announce(task_cancelled, sender, task_result)


def _log_odd(error: BaseException, task_result: TaskResult) -> None:
    # Without the traceback: it may be what cannot be printed.
    logger.error("A signal of run %s ended with %s.", task_result.id, type(error).__name__)
