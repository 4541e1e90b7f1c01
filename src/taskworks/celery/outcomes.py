"""What Celery calls the state of a run, and what came of it."""

from ast import literal_eval
from typing import Any

from taskworks.celery import states
from taskworks.celery.exceptions import TaskRevokedError
from taskworks.celery.values import decoded
from taskworks.exceptions import TaskCancelled, TaskException, TaskExpired
from taskworks.framework import TaskResultStatus
from taskworks.result import TaskResult
from taskworks.tracebacks import message_of

OF_CELERY = "celery"  # the key in a run's metadata of what update_state() has said
STATES = {
    TaskResultStatus.READY: states.PENDING,
    TaskResultStatus.RUNNING: states.STARTED,
    TaskResultStatus.SUCCESSFUL: states.SUCCESS,
    TaskResultStatus.FAILED: states.FAILURE,
}
REVOCATIONS = frozenset(f"{c.__module__}.{c.__qualname__}" for c in (TaskCancelled, TaskExpired))


def state_of(run: TaskResult[..., Any] | None) -> str:
    """Return the state that Celery would show, or what the task itself has said."""
    if run is None:
        return states.PENDING
    if run.is_cancelled or (_has_failed(run) and _was_revoked(run)):
        return states.REVOKED
    if run.status == TaskResultStatus.READY and run.errors:
        return states.RETRY
    state = STATES[run.status]
    # What it says is stored at once, its start a moment later.
    return state if state in states.READY_STATES else str(_said(run).get("state", state))


def outcome_of(run: TaskResult[..., Any] | None) -> Any:
    """Return what ``AsyncResult.result`` is in this state."""
    if run is None:
        return None
    match state_of(run):
        case states.SUCCESS:
            return decoded(run.return_value)
        case states.FAILURE | states.RETRY:
            return _exception(run)
        case states.REVOKED:
            return TaskRevokedError(_message(run))
        case _:
            return decoded(_said(run).get("meta"))


def _said(run: TaskResult[..., Any]) -> dict[str, Any]:
    said = run.metadata.get(OF_CELERY)
    return said if isinstance(said, dict) else {}


def _has_failed(run: TaskResult[..., Any]) -> bool:
    return bool(run.status == TaskResultStatus.FAILED and run.errors)


def _was_revoked(run: TaskResult[..., Any]) -> bool:
    return run.errors[-1].exception_class_path in REVOCATIONS


def _message(run: TaskResult[..., Any]) -> str:
    if not run.errors:
        return "revoked"
    error = run.errors[-1]
    return message_of(error.exception_class_path, error.traceback)


def _exception(run: TaskResult[..., Any]) -> BaseException:
    """Return the exception of the last failure, made of its class and message."""
    if not run.errors:
        return TaskException("It failed.")
    path, message = run.errors[-1].exception_class_path, _message(run)
    try:
        kind = run.errors[-1].exception_class
        if not issubclass(kind, Exception):  # SystemExit of a task must not end who asks for it
            return TaskException(f"{path}: {message}")
        # The message of a KeyError is how its key is written.
        return kind(literal_eval(message) if issubclass(kind, KeyError) else message)
    except Exception:  # noqa: BLE001 - the class is gone, or is not made of a message
        return TaskException(f"{path}: {message}")
