"""What an outcome makes of a run."""

import math
from copy import copy
from datetime import timedelta
from typing import Any, assert_never

from taskworks import real_time as time
from taskworks.database.clock import later
from taskworks.exceptions import TaskNotFound
from taskworks.execution.attempt import Attempt
from taskworks.execution.outcome import (
    Cancelled,
    Committed,
    Crashed,
    Failed,
    Fenced,
    Lost,
    Parked,
    Poisoned,
    Postponed,
    Released,
    Retried,
    Settled,
    Snoozed,
    Succeeded,
    Suspended,
)
from taskworks.models import RunState
from taskworks.options.policy import ALONE
from taskworks.release import release
from taskworks.tracebacks import shortened

# The columns that an outcome writes, as if nothing had happened to the run before.
NO_HISTORY: dict[str, Any] = {
    "attempts": 0,
    "failures": 0,
    "crashes": 0,
    "worker_ids": [],
    "errors": [],
    "started_at": None,
    "last_attempted_at": None,
    "missing_since": None,
}
# An enum's attributes are slow to look up.
SUCCESSFUL, FAILED, CANCELLED = (
    RunState.SUCCESSFUL.value,
    RunState.FAILED.value,
    RunState.CANCELLED.value,
)
FULL_TRACEBACKS = 10  # of a run's latest errors; of older ones only what was raised is kept


def settle(  # noqa: C901, PLR0912 - one case per outcome
    attempt: Attempt, outcome: Settled
) -> None:
    """Give the attempt this outcome, and its run the values to be written."""
    attempt.outcome = outcome
    attempt.ended = attempt.ended or time.monotonic()
    attempt.run.return_value = None
    match outcome:
        case Succeeded(return_value):
            attempt.run.return_value = return_value
            _finish(attempt, SUCCESSFUL)
        case Committed(return_value, finished_at):
            attempt.run.return_value = return_value
            _finish(attempt, SUCCESSFUL)
            attempt.run.finished_at = finished_at
        case Failed(_, entry):
            _add_failure(attempt, entry)
            _finish(attempt, FAILED)
        case Poisoned(_, entry):
            _add_crash(attempt, entry)
            _finish(attempt, FAILED)
        case Lost(_, entry):
            _add_error(attempt, entry)
            _finish(attempt, FAILED)
        case Cancelled(_, entry):
            _add_error(attempt, entry)
            _finish(attempt, CANCELLED)
        case Retried(_, entry, delay):
            _add_failure(attempt, entry)
            _acquit(attempt)
            _requeue(attempt, delay)
        case Snoozed(delay):
            _settle_snoozed(attempt, delay)
        case Suspended(delay, seen):
            _settle_snoozed(attempt, delay)
            attempt.run.seen_events = seen
        case Postponed(delay, reason):
            attempt.uncount_start()
            _note_missing(attempt, is_missing=isinstance(reason, TaskNotFound))
            _requeue(attempt, delay)
        case Crashed(_, entry):
            _add_crash(attempt, entry)
            _requeue(attempt, timedelta())
        case Released():
            _undo(attempt, RunState.READY)
        case Parked(pause):
            _undo(attempt, RunState.BLOCKED)
            attempt.run.waits_for = pause
        case Fenced():
            pass
        case _:
            assert_never(outcome)


def settle_without_history(attempt: Attempt, outcome: Failed) -> None:
    """As ``settle``, for a run whose row has values that cannot be counted on, or written again."""
    for name, value in NO_HISTORY.items():
        setattr(attempt.run, name, copy(value))
    settle(attempt, outcome)


def copy_without_history(attempt: Attempt, outcome: Failed) -> Attempt:
    """As ``settled_copy``, for such a run."""
    twin = copy(attempt)
    twin.run = copy(attempt.run)
    settle_without_history(twin, outcome)
    return twin


def settled_copy(attempt: Attempt, outcome: Settled) -> Attempt:
    """Return a copy of the attempt and its run with this outcome; the original may go on."""
    twin = copy(attempt)
    twin.run, twin.outcome, twin.ended = copy(attempt.run), None, None
    settle(twin, outcome)
    return twin


def _finish(attempt: Attempt, state: str) -> None:
    attempt.run.state, attempt.run.finished_at = state, attempt.ended_at


def _undo(attempt: Attempt, state: RunState) -> None:
    attempt.uncount_start()
    attempt.run.state = state.value


def _note_missing(attempt: Attempt, *, is_missing: bool) -> None:
    """Note since when the run's task cannot be imported, if so."""
    attempt.run.missing_since = (attempt.run.missing_since or attempt.now()) if is_missing else None


def _requeue(attempt: Attempt, delay: timedelta) -> None:
    attempt.run.state = (RunState.SCHEDULED if delay else RunState.READY).value
    attempt.run.available_at = later(attempt.now(), delay)


def _settle_snoozed(attempt: Attempt, delay: timedelta) -> None:
    attempt.uncount_start()
    _acquit(attempt)
    _requeue(attempt, delay)
    _restart_expiry(attempt)


def _restart_expiry(attempt: Attempt) -> None:
    """A worker had time for the run: how long it may wait counts from when it is due again."""
    run = attempt.run
    if not run.expires_at:
        return
    run.expires_at = None
    if attempt.policy.expires < math.inf:
        run.expires_at = later(run.available_at, timedelta(seconds=attempt.policy.expires))


def _acquit(attempt: Attempt) -> None:
    """The run was suspected of a crash, and has not crashed."""
    if attempt.run.executor == ALONE:
        attempt.run.executor = attempt.policy.executor


def _add_failure(attempt: Attempt, entry: dict[str, str]) -> None:
    _add_error(attempt, entry)
    attempt.run.failures += 1


def _add_crash(attempt: Attempt, entry: dict[str, str]) -> None:
    _add_error(attempt, entry)
    attempt.run.crashes += 1


def _add_error(attempt: Attempt, entry: dict[str, str]) -> None:
    run = attempt.run
    began = run.last_attempted_at if attempt.began is not None else None
    facts = {
        "attempt": run.attempts,
        "began": began and began.isoformat(),
        "at": attempt.ended_at.isoformat(),
        "worker_id": attempt.worker_id,
    }
    if said := release():
        facts["release"] = said
    run.errors = [*_shortened(run.errors), {**facts, **entry}]


def _shortened(errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """So that a run that is retried a thousand times does not keep a thousand tracebacks."""
    recent = len(errors) - FULL_TRACEBACKS + 1
    return [
        {**entry, "traceback": _shortened_traceback(entry)} if index < recent else entry
        for index, entry in enumerate(errors)
    ]


def _shortened_traceback(entry: dict[str, Any]) -> str:
    return shortened(entry["exception_class_path"], entry["traceback"])
