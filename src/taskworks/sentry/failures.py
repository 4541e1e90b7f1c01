"""Failures, as events and as breadcrumbs."""

from typing import Any

import sentry_sdk
from sentry_sdk.utils import event_from_exception

from taskworks.instruments import ExecutedAttempt

MAX_EARLIER = 10  # failures of which an event has breadcrumbs


def report(attempt: ExecutedAttempt) -> None:
    """Report a run that has failed for good."""
    _capture(attempt, "error")


def report_retry(attempt: ExecutedAttempt) -> None:
    """Report an attempt that failed, and is followed by another one."""
    _capture(attempt, "warning")


def _capture(attempt: ExecutedAttempt, level: str) -> None:
    if attempt.exception is None:
        return
    event: Any
    event, hint = event_from_exception(
        attempt.exception,
        client_options=sentry_sdk.get_client().options,
        mechanism={"type": "taskworks", "handled": level == "warning"},
    )
    event["level"] = level
    sentry_sdk.capture_event(event, hint=hint)


def add_breadcrumbs_of_earlier(attempt: ExecutedAttempt) -> None:
    """Add what the record has of earlier attempts, which may have been made in other processes."""
    for error in attempt.errors[-MAX_EARLIER:]:
        path = error.get("exception_class_path", "")
        sentry_sdk.add_breadcrumb(
            category="taskworks.retry",
            level="warning",
            message=f"Attempt {error.get('attempt')} failed: {path}",
            data={"at": error.get("at"), "worker": error.get("worker_id")},
        )
