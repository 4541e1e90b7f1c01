"""
The standard's three signals, which on Django 6.0 and later are Django's own, and five more.

``sender`` is the backend's class, ``task_result`` a snapshot of the run. An exception in a receiver
is logged by ``django.dispatch`` and does not affect the run. Receivers may be async.

- ``task_retried``: an attempt failed, and another follows after ``delay``, a timedelta.
- ``task_cancelled``: a run was cancelled. Sent after ``task_finished``.
- ``task_rescued``: a run whose worker died is ready again.
- ``task_lost``: an at-most-once run whose worker died was failed. Sent after ``task_finished``.
- ``workflow_finished``: a workflow has ended, with a ``workflow_result``. Also sent for groups.
"""

import logging
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

from django.dispatch import Signal

from taskworks.framework import (
    LOGGER_NAME,
    TaskResult,
    log_task_enqueued,
    log_task_finished,
    log_task_started,
    task_enqueued,
    task_finished,
    task_started,
)
from taskworks.logs import is_read, our_logger, steady_logger
from taskworks.meant_database import none_in_force

__all__ = [
    "task_cancelled",
    "task_enqueued",
    "task_finished",
    "task_lost",
    "task_rescued",
    "task_retried",
    "task_started",
    "workflow_finished",
]

task_retried = Signal()
task_cancelled = Signal()
task_rescued = Signal()
task_lost = Signal()
workflow_finished = Signal()

logger = steady_logger(__name__)


# Called only if there is a receiver, because it costs more than a short run.
Snapshot = Callable[[], TaskResult]


def announce(
    signal: Signal, sender: type, snapshot: Snapshot, level: int = logging.INFO, **more: Any
) -> None:
    """
    Send a signal from a worker, whatever a receiver raises, including SystemExit. ``level`` is the
    level at which the standard's own receiver logs.
    """
    if not is_heard(signal, level):
        return
    try:
        task_result = snapshot()
        with none_in_force():
            signal.send_robust(sender, task_result=task_result, **more)
    except BaseException as error:  # noqa: BLE001 - also from a log handler
        _log_error(error)


async def aannounce(signal: Signal, sender: type, snapshot: Snapshot) -> None:
    """See announce()."""
    if not is_heard(signal, logging.INFO):
        return
    try:
        task_result = snapshot()
        with none_in_force():
            await signal.asend_robust(sender, task_result=task_result)
    except BaseException as error:  # noqa: BLE001 - as above
        _log_error(error)


def announce_enqueued(sender: type, task_results: Iterable[TaskResult]) -> None:
    """Send ``task_enqueued`` for stored runs; what interrupts the caller interrupts this too."""
    if is_heard(task_enqueued, logging.DEBUG):
        for task_result in task_results:
            with none_in_force():
                task_enqueued.send_robust(sender, task_result=task_result)


def announce_cancelled(sender: type, task_result: TaskResult) -> None:
    """Send ``task_finished``, which is not logged as an error then, and ``task_cancelled``."""
    token = _cancelled_id.set(task_result.id)
    try:
        announce(task_finished, sender, lambda: task_result, logging.INFO)
    finally:
        _cancelled_id.reset(token)
    announce(task_cancelled, sender, lambda: task_result)


def is_cancellation_heard() -> bool:
    """Return whether ``announce_cancelled`` would reach anybody."""
    return is_heard(task_finished, logging.INFO) or is_heard(task_cancelled, logging.INFO)


def announce_lost(sender: type, snapshot: Snapshot) -> None:
    """Send ``task_finished`` and ``task_lost``."""
    announce(task_finished, sender, snapshot, logging.ERROR)
    announce(task_lost, sender, snapshot)


def announce_workflow(sender: type, snapshot: Callable[[], Any]) -> None:
    """Send ``workflow_finished``, whatever a receiver raises."""
    if not workflow_finished.receivers:
        return
    try:
        workflow_result = snapshot()
        with none_in_force():
            workflow_finished.send_robust(sender, workflow_result=workflow_result)
    except BaseException as error:  # noqa: BLE001 - as in announce()
        _log_error(error)


def is_heard(signal: Signal, level: int) -> bool:
    """Return whether a receiver needs it; the standard's own only if its log record is handled."""
    receivers = signal.receivers
    if not receivers:
        return False
    if len(receivers) > 1 or receivers[0][0] not in _LOG_RECEIVER_KEYS:
        return True
    return _standard_log.isEnabledFor(level) and is_read(_standard_log, level)


def _log_error(error: BaseException) -> None:
    # Without the traceback: printing it may be what failed.
    logger.error("Sending a signal of a run raised %s.", type(error).__name__)


class _CancellationsAtInfo(logging.Filter):
    """
    Makes one line at INFO of the standard's record of a cancelled run. To the standard every such
    run is FAILED, so its receiver logs an ERROR, which Django mails to ADMINS.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        match record.args:
            case (str(id_), path, _) if id_ == _cancelled_id.get():
                record.args = (id_, path, "CANCELLED")
                record.levelno, record.levelname = logging.INFO, logging.getLevelName(logging.INFO)
                record.exc_info = record.exc_text = None
                return _standard_log.isEnabledFor(logging.INFO)
        return True


# The run whose cancellation is being announced: what receivers log may be about others.
_cancelled_id: ContextVar[str | None] = ContextVar("taskworks_cancelled_id", default=None)
_standard_log = our_logger(LOGGER_NAME)
_standard_log.addFilter(_CancellationsAtInfo())
# The standard's own receivers, which only log.
_LOGGING = (log_task_enqueued, log_task_started, log_task_finished)
_LOG_RECEIVER_KEYS = {(id(receiver), id(None)) for receiver in _LOGGING}
