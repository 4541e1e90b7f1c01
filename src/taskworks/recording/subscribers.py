"""The engine's own subscribers: watchers, the log of runs, the signals."""

import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, assert_never
from uuid import UUID

from django.db import Error as DatabaseError

from taskworks import instruments
from taskworks import real_time as time
from taskworks.chunks import in_chunks
from taskworks.correlation import METADATA_KEY, extras_of
from taskworks.database.payloads import MAX_RUNS_PER_NOTIFICATION, WATCHERS_CHANNEL, news_of
from taskworks.execution import (
    Attempt,
    Cancelled,
    Committed,
    Crashed,
    Failed,
    Fenced,
    InDoubt,
    Lost,
    Parked,
    Poisoned,
    Postponed,
    Released,
    Retried,
    Snoozed,
    Succeeded,
    Suspended,
    tell_recorded,
)
from taskworks.logs import our_logger, steady_logger
from taskworks.models import TaskRun
from taskworks.recording.events import Attempts, Subscriber
from taskworks.signals import (
    announce,
    announce_cancelled,
    announce_lost,
    is_heard,
    task_finished,
    task_retried,
)
from taskworks.store import Store

WATCHED_FOR = 30.0  # seconds from the last request to watch a run; watchers ask every ten
MAX_WATCHED_RUNS = 10_000

logger = steady_logger(__name__)
run_logger = our_logger("taskworks.runs")


class Watchers(Subscriber):
    """
    Notifies those who watch a run that there is something new, where the database can notify; they
    then read the run. A run that nobody watches costs nothing.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._until: dict[UUID, float] = {}

    def watch(self, run_ids: Sequence[UUID]) -> None:
        """Note that somebody watches these runs; may be called in any thread."""
        now = time.monotonic()
        watched = {run_id: until for run_id, until in self._until.items() if until > now}
        watched.update(dict.fromkeys(run_ids, now + WATCHED_FOR))
        # Replaced as a whole, because another thread reads it.
        self._until = watched if len(watched) <= MAX_WATCHED_RUNS else {}

    def started(self, attempts: Attempts) -> None:
        self._notify(attempts)

    def progressed(self, attempts: Attempts) -> None:
        self._notify(attempts)

    def recorded(self, attempts: Attempts) -> None:
        self._notify(attempts)

    def _notify(self, attempts: Attempts) -> None:
        if not self._until:
            return
        watched = [attempt.run.id for attempt in attempts if attempt.run.id in self._until]
        for some in in_chunks(watched, MAX_RUNS_PER_NOTIFICATION):
            self._send(some)

    def _send(self, run_ids: Sequence[UUID]) -> None:
        try:
            self._store.notify(news_of(run_ids), WATCHERS_CHANNEL)
        except DatabaseError as error:  # watchers also poll
            logger.debug("The watchers of %d runs could not be notified: %s", len(run_ids), error)


class ToInstruments(Subscriber):
    """Tells the instruments of this process. They come before the log, which they may read."""

    def recorded(self, attempts: Attempts) -> None:
        if instruments.in_use:
            tell_recorded(attempts)


class RunLog(Subscriber):
    """Logs what becomes of each attempt, to the logger ``taskworks.runs``."""

    def recorded(self, attempts: Attempts) -> None:
        if not run_logger.isEnabledFor(logging.INFO):
            attempts = _unless_successful(attempts)
        for attempt in attempts:
            self._log_outcome(attempt)

    def refused(self, attempt: Attempt) -> None:
        what = "its outcome is lost: the run was rescued from this worker, given up or deleted"
        _log(attempt, logging.ERROR, what)

    def stuck(self, attempt: Attempt) -> None:
        what = "cannot be stopped, so the worker finishes its other runs and restarts"
        _log(attempt, logging.ERROR, what)

    def _log_outcome(self, attempt: Attempt) -> None:  # noqa: C901 - one line per outcome
        match attempt.outcome:
            case Succeeded() | Committed() | Cancelled() | Failed() | Poisoned():
                _log(attempt, logging.INFO, attempt.run.state)
            case Lost():
                _log(attempt, logging.ERROR, "is lost, and is not executed again")
            case Retried(exception, _, delay):
                what = "failed, and is retried in %.1f s"
                _log(attempt, logging.WARNING, what, delay.total_seconds(), exc_info=exception)
            case Snoozed(delay):
                _log(attempt, logging.INFO, "snoozed for %.1f s", delay.total_seconds())
            case Suspended():
                _log(attempt, logging.INFO, "waits for an event")
            case Postponed(delay, reason):
                what, seconds = "postponed for %.1f s: %s", delay.total_seconds()
                _log(attempt, logging.WARNING, what, seconds, _without_period(reason))
            case Crashed(exception):
                what = "crashed while it was executed alone: %s"
                _log(attempt, logging.ERROR, what, _without_period(exception))
            case Released():
                _log(attempt, logging.INFO, "released")
            case Parked():
                _log(attempt, logging.INFO, "waits, because its task is paused")
            case Fenced() | InDoubt() | None:  # nothing was written
                pass
            case unknown:
                assert_never(unknown)


class RunSignals(Subscriber):
    """Sends the signals that end an attempt; ``sender`` is the backend's class."""

    def __init__(self, sender: type) -> None:
        self._sender = sender

    def recorded(self, attempts: Attempts) -> None:
        if not is_heard(task_finished, logging.INFO):
            attempts = _unless_successful(attempts)
        for attempt in attempts:
            self._announce_outcome(attempt)

    def _announce_outcome(self, attempt: Attempt) -> None:
        sender = self._sender
        match attempt.outcome:
            case Succeeded() | Committed():
                announce(task_finished, sender, attempt.result, logging.INFO)
            case Failed(exception) | Poisoned(exception):
                _with_traceback(
                    exception, announce, task_finished, sender, attempt.result, logging.ERROR
                )
            case Lost(exception):
                _with_traceback(exception, announce_lost, sender, attempt.result)
            case Cancelled():
                announce_cancelled(sender, attempt.result())
            case Retried(exception, _, delay):
                _with_traceback(
                    exception, announce, task_retried, sender, attempt.result, delay=delay
                )
            case Snoozed() | Suspended() | Postponed() | Crashed() | Released() | Parked():
                pass
            case Fenced() | InDoubt() | None:
                pass
            case unknown:
                assert_never(unknown)


def _unless_successful(attempts: Attempts) -> Attempts:
    """Return the attempts without those that have succeeded: most of them."""
    return [attempt for attempt in attempts if attempt.outcome.__class__ is not Succeeded]


def _with_traceback(
    exception: BaseException, announce: Callable[..., None], *args: Any, **more: Any
) -> None:
    """Announce while the exception is handled: the standard's receiver logs sys.exc_info()."""
    of_the_task = exception.__traceback__
    try:
        raise exception
    except BaseException as raised:  # noqa: BLE001 - whatever the task raised
        BaseException.with_traceback(raised, of_the_task)
        announce(*args, **more)


def _log(
    attempt: Attempt,
    level: int,
    what: str,
    *args: Any,
    exc_info: BaseException | None = None,
) -> None:
    if not run_logger.isEnabledFor(level):
        return
    run = attempt.run
    extra = {
        **extras_of(run),
        "task_duration": attempt.duration,
        "task_worker": attempt.worker_id,
        "task_state": run.state,
    }
    try:
        if correlation_id := extra.get(METADATA_KEY):
            what, args = f"{what} (correlation id %s)", (*args, correlation_id)
        message = f"Run %s of %s: {what}."
        arguments = (run.id, run.called_path, *args)
        run_logger.log(level, message, *arguments, exc_info=exc_info, extra=extra)
    except BaseException as odd:  # noqa: BLE001 - a log's handler may meet an odd exception
        _log_plainly(level, run, odd, extra)


def _without_period(error: BaseException) -> str:
    """Return the text of an error for the end of a sentence."""
    try:
        return str(error).rstrip(".")
    except Exception:  # noqa: BLE001 - a task's exception may do anything when asked
        return type(error).__name__


def _log_plainly(level: int, run: TaskRun, odd: BaseException, extra: dict[str, Any]) -> None:
    try:
        run_logger.log(level, "Run %s of %s: %s.", run.id, run.task_path, run.state, extra=extra)
    except Exception:  # noqa: BLE001 - a filter or a handler of the project's that never works
        with suppress(Exception):
            sys.stderr.write(f"Run {run.id} cannot be logged: {type(odd).__name__}\n")
