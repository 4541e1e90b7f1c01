"""
The standard's three signals, on Django 6.0 and later Django's very objects, and four of ours.

``sender`` is the backend's class, ``task_result`` a snapshot of the run. A receiver that raises
is logged by ``django.dispatch``, and changes nothing of a run. Receivers may be async.

``task_retried`` is sent when an attempt has failed and another follows, with ``delay``, a
timedelta; ``task_cancelled`` when a run is cancelled, after ``task_finished``; ``task_rescued``
when a run is ready again whose worker has died; ``task_lost`` when one is failed instead, because
it may be executed once only, after ``task_finished``.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.dispatch import Signal
from django.utils.log import RequireDebugTrue

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
from taskworks.logs import steady_logger

__all__ = [
    "aannounce",
    "announce",
    "announce_cancelled",
    "announce_enqueued",
    "announce_lost",
    "task_cancelled",
    "task_enqueued",
    "task_finished",
    "task_lost",
    "task_rescued",
    "task_retried",
    "task_started",
]

task_retried = Signal()
task_cancelled = Signal()
task_rescued = Signal()
task_lost = Signal()

logger = steady_logger(__name__)


Snapshot = Callable[[], TaskResult]  # made only if somebody listens: it costs more than a short run


def announce(
    signal: Signal, sender: type, snapshot: Snapshot, level: int = logging.INFO, **more: Any
) -> None:
    """
    Send a signal from a worker, which not even a receiver's sys.exit() may stop. ``level`` is that
    of the line which the standard's own receiver logs.
    """
    if not _is_heard(signal, level):
        return
    try:
        signal.send_robust(sender, task_result=snapshot(), **more)
    except BaseException as error:  # noqa: BLE001 - a log's handler may meet an odd exception
        _log_odd(error)


async def aannounce(signal: Signal, sender: type, snapshot: Snapshot) -> None:
    """See announce()."""
    if not _is_heard(signal, logging.INFO):
        return
    try:
        await signal.asend_robust(sender, task_result=snapshot())
    except BaseException as error:  # noqa: BLE001 - as above
        _log_odd(error)


def announce_enqueued(sender: type, task_results: Iterable[TaskResult]) -> None:
    """Runs are stored; sent by who has enqueued them, and whatever stops that one stops this."""
    if _is_heard(task_enqueued, logging.DEBUG):
        for task_result in task_results:
            task_enqueued.send_robust(sender, task_result=task_result)


def announce_cancelled(sender: type, task_result: TaskResult) -> None:
    """A run is cancelled, and has thereby finished."""
    announce(task_finished, sender, lambda: task_result, logging.ERROR)
    announce(task_cancelled, sender, lambda: task_result)


def announce_lost(sender: type, snapshot: Snapshot) -> None:
    """A run is failed as lost, and has thereby finished."""
    announce(task_finished, sender, snapshot, logging.ERROR)
    announce(task_lost, sender, snapshot)


def _is_heard(signal: Signal, level: int) -> bool:
    """Whether somebody receives it, beside the standard's own log that nobody reads."""
    if any(key not in _OF_THE_LOG for key, *_ in signal.receivers):
        return True
    return bool(signal.receivers) and is_read(_standard_log, level)


def is_read(log: logging.Logger, level: int) -> bool:
    """
    Whether a line of this level would reach anybody: in Django's own default, the console's
    handler is there and lets nothing pass unless DEBUG is on.
    """
    if not log.isEnabledFor(level):
        return False
    place: logging.Logger | None = log
    handlers: list[logging.Handler] = []
    while place:
        handlers += place.handlers
        place = place.parent if place.propagate else None
    if not handlers:
        return level >= logging.WARNING  # logging.lastResort
    return any(level >= handler.level and not _is_shut(handler) for handler in handlers)


def _is_shut(handler: logging.Handler) -> bool:
    return not settings.DEBUG and any(type(f) is RequireDebugTrue for f in handler.filters)


def _log_odd(error: BaseException) -> None:
    # Without the traceback: it may be what cannot be printed.
    logger.error("A signal of a run ended with %s.", type(error).__name__)


_standard_log = logging.getLogger(LOGGER_NAME)
# The standard's own receivers, which do nothing but log.
_LOGGING = (log_task_enqueued, log_task_started, log_task_finished)
_OF_THE_LOG = {(id(receiver), id(None)) for receiver in _LOGGING}
