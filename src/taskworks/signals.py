"""
The standard's three signals; on Django 6.0 and later they are Django's very objects.

``sender`` is the backend's class, ``task_result`` a snapshot of the run. A receiver that raises
is logged by ``django.dispatch``, and changes nothing of a run.
"""

import logging

from django.dispatch import Signal

from taskworks.framework import TaskResult, task_enqueued, task_finished, task_started

__all__ = ["aannounce", "announce", "task_enqueued", "task_finished", "task_started"]

logger = logging.getLogger(__name__)


def announce(signal: Signal, sender: type, task_result: TaskResult) -> None:
    """Send a signal from a worker, which not even a receiver's sys.exit() may stop."""
    try:
        signal.send_robust(sender, task_result=task_result)
    except BaseException as error:  # noqa: BLE001 - a log's handler may meet an odd exception
        _log_odd(error, task_result)


async def aannounce(signal: Signal, sender: type, task_result: TaskResult) -> None:
    """See announce()."""
    try:
        await signal.asend_robust(sender, task_result=task_result)
    except BaseException as error:  # noqa: BLE001 - as above
        _log_odd(error, task_result)


def _log_odd(error: BaseException, task_result: TaskResult) -> None:
    # Without the traceback: it may be what cannot be printed.
    logger.error("A signal of run %s ended with %s.", task_result.id, type(error).__name__)
