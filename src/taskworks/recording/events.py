"""What a worker tells the world of an outcome: signals, a line in the log, its observer."""

import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from taskworks.correlation import METADATA_KEY
from taskworks.execution import (
    Attempt,
    Cancelled,
    Committed,
    Crashed,
    Failed,
    Lost,
    Poisoned,
    Postponed,
    Released,
    Retried,
    Snoozed,
    Succeeded,
)
from taskworks.models import TaskRun
from taskworks.recording.observer import Observer
from taskworks.signals import (
    announce,
    announce_cancelled,
    announce_lost,
    task_finished,
    task_retried,
)

logger = logging.getLogger("taskworks.runs")


class Report:
    """Told of every outcome, once it is stored; ``sender`` is the backend's class."""

    def __init__(self, sender: type, observer: Observer) -> None:
        self._sender, self._observer = sender, observer

    def written(self, attempt: Attempt) -> None:
        """The outcome is stored."""
        match attempt.outcome:
            case Succeeded() | Committed():
                self._finished(attempt)
            case Failed(exception) | Poisoned(exception):
                self._in_the_context_of(exception, self._finished, attempt)
            case Lost(exception):
                self._in_the_context_of(exception, self._lost_for_good, attempt)
            case Cancelled(exception):
                self._in_the_context_of(exception, self._cancelled, attempt)
            case Retried(exception, _, delay):
                self._in_the_context_of(exception, partial(self._retried, delay=delay), attempt)
            case _:
                _log_return(attempt)
        self._observer.settled(attempt)

    def lost(self, attempt: Attempt) -> None:
        """The outcome was not stored: the run is another worker's now, or gone."""
        _log(
            attempt,
            logging.ERROR,
            "its outcome is lost: the run was rescued from this worker, given up or deleted",
        )

    def stuck(self, attempt: Attempt) -> None:
        """Its task does not end, whatever is done."""
        _log(
            attempt,
            logging.ERROR,
            "cannot be stopped, so the worker finishes its other runs, and begins anew",
        )

    def _finished(self, attempt: Attempt) -> None:
        _log(attempt, logging.INFO, attempt.run.state)
        level = (
            logging.INFO if isinstance(attempt.outcome, Succeeded | Committed) else logging.ERROR
        )
        announce(task_finished, self._sender, attempt.result, level)

    def _lost_for_good(self, attempt: Attempt) -> None:
        _log(attempt, logging.ERROR, "is lost, and is not executed again")
        announce_lost(self._sender, attempt.result)

    def _cancelled(self, attempt: Attempt) -> None:
        _log(attempt, logging.INFO, attempt.run.state)
        announce_cancelled(self._sender, attempt.result())

    def _retried(self, attempt: Attempt, delay: timedelta) -> None:
        seconds = delay.total_seconds()
        _log(attempt, logging.WARNING, "failed, and is retried in %s s", seconds, exc_info=True)
        announce(task_retried, self._sender, attempt.result, delay=delay)

    def _in_the_context_of(
        self, exception: BaseException, tell: Callable[[Attempt], None], attempt: Attempt
    ) -> None:
        try:
            # The standard's log line takes a failure's traceback from the context.
            raise exception
        except BaseException:  # noqa: BLE001 - whatever the task raised
            tell(attempt)


def _log_return(attempt: Attempt) -> None:
    """It waits again, and has not failed."""
    match attempt.outcome:
        case Snoozed(delay):
            _log(attempt, logging.INFO, "snoozed for %s s", delay.total_seconds())
        case Postponed(delay, reason):
            seconds = delay.total_seconds()
            _log(attempt, logging.WARNING, "postponed for %s s: %s", seconds, reason)
        case Crashed(exception):
            _log(attempt, logging.ERROR, "executed alone, it has crashed: %s", exception)
        case Released():
            _log(attempt, logging.INFO, "given back")


def _log(attempt: Attempt, level: int, what: str, *args: Any, exc_info: bool = False) -> None:
    if not logger.isEnabledFor(level):
        return
    run = attempt.run
    extra = {
        "task_id": str(run.id),
        "task_path": run.task_path,
        "task_queue": run.queue_name,
        "task_attempt": run.attempts,
        "task_duration": attempt.duration,
        "task_worker": attempt.worker_id,
        "task_state": run.state,
    }
    try:
        if correlation_id := run.metadata.get(METADATA_KEY):
            extra[METADATA_KEY] = correlation_id
            what, args = f"{what} (correlation id %s)", (*args, correlation_id)
        message = f"Run %s of %s: {what}."
        logger.log(level, message, run.id, run.called_path, *args, exc_info=exc_info, extra=extra)
    except BaseException as odd:  # noqa: BLE001 - a log's handler may meet an odd exception
        _log_plainly(level, run, odd, extra)


def _log_plainly(level: int, run: TaskRun, odd: BaseException, extra: dict[str, Any]) -> None:
    try:
        logger.log(level, "Run %s of %s: %s.", run.id, run.task_path, run.state, extra=extra)
    except Exception:  # noqa: BLE001 - a filter or a handler of the project's that never works
        with suppress(Exception):
            sys.stderr.write(f"Run {run.id} cannot be logged: {type(odd).__name__}\n")
