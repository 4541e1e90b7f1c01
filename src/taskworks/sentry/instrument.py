"""What Sentry is told, and when."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sentry_sdk

from taskworks.framework import LOGGER_NAME
from taskworks.instruments import FLUSH_WITHIN, EnqueuedRuns, ExecutedAttempt, Instrument
from taskworks.reserved_metadata import made_by
from taskworks.sentry import failures, spans

if TYPE_CHECKING:
    from taskworks.sentry.integration import TaskworksIntegration

NAME = "sentry"
LOG_OF_RUNS = "taskworks.runs"


class SentryInstrument(Instrument):
    """Does nothing while the current client has no integration."""

    name = NAME

    def __init__(self, in_force: "Callable[[], TaskworksIntegration | None]") -> None:
        self._in_force = in_force
        # The runs of which a failure is reported; what is logged about it is not another one.
        self._reported: frozenset[str] = frozenset()

    @contextmanager
    def enqueuing(self, runs: EnqueuedRuns) -> Iterator[None]:
        if (integration := self._in_force()) is None:
            yield
            return
        with spans.publishing(runs):
            # What a schedule fires belongs to no trace of its worker.
            trace = {} if made_by(runs.metadata) else _trace_headers()
            runs.carry(self.name, {**trace, **integration.monitors.carried(runs)})
            yield

    @contextmanager
    def executing(self, attempt: ExecutedAttempt) -> Iterator[None]:
        if (integration := self._in_force()) is None:
            yield
            return
        carried = attempt.carried(self.name)
        with sentry_sdk.isolation_scope() as scope:
            scope.clear_breadcrumbs()
            _describe(attempt, scope)
            failures.add_breadcrumbs_of_earlier(attempt)
            integration.monitors.begin(attempt, carried)
            with spans.processing(attempt, carried) as end:
                yield
                end(attempt)
                self._report(attempt, integration)
            integration.monitors.end(attempt, carried)

    def recording(self, attempts: Sequence[ExecutedAttempt]) -> None:
        if (integration := self._in_force()) is None:
            return
        self._reported = frozenset(
            attempt.run_id for attempt in attempts if _has_lines_of_errors(attempt)
        )
        for attempt in attempts:
            if self.name not in attempt.seen_by:
                self._report_unseen(attempt, integration)

    def flush(self) -> None:
        sentry_sdk.flush(FLUSH_WITHIN)

    def without_lines_about_reported(self, event: Any, hint: dict[str, Any]) -> Any:
        """
        Return None, which drops the event, for a line of the log about a failure that is reported.
        """
        record = hint.get("log_record")
        is_about_reported = record is not None and _run_in(record) in self._reported
        return None if is_about_reported and self._in_force() else event

    def _report(self, attempt: ExecutedAttempt, integration: "TaskworksIntegration") -> None:
        if attempt.has_failed_for_good:
            failures.report(attempt)
        elif attempt.outcome == "retried" and integration.report_retries:
            failures.report_retry(attempt)

    def _report_unseen(self, attempt: ExecutedAttempt, integration: "TaskworksIntegration") -> None:
        carried = attempt.carried(self.name)
        with sentry_sdk.isolation_scope() as scope:
            scope.clear_breadcrumbs()
            _describe(attempt, scope)
            failures.add_breadcrumbs_of_earlier(attempt)
            spans.add_process_of_unseen(attempt, carried)
            self._report(attempt, integration)
            integration.monitors.end(attempt, carried)


def _describe(attempt: ExecutedAttempt, scope: Any) -> None:
    scope.set_tag("task", attempt.task)
    scope.set_tag("queue", attempt.queue_name)
    scope.set_tag("run", attempt.run_id)
    details = {"attempt": attempt.number, "executor": attempt.executor, "worker": attempt.worker}
    scope.set_context("taskworks", details)


def _trace_headers() -> dict[str, str]:
    headers = {"sentry-trace": sentry_sdk.get_traceparent(), "baggage": sentry_sdk.get_baggage()}
    return {name: text for name, text in headers.items() if text}


def _has_lines_of_errors(attempt: ExecutedAttempt) -> bool:
    """Return whether its outcome is logged as an error, which would be an event of Sentry's."""
    return attempt.has_failed_for_good or attempt.outcome == "crashed"


def _run_in(record: logging.LogRecord) -> str | None:
    """Return the id of the run that a line is about."""
    match record.name, record.args:
        case "taskworks.runs", _:
            return getattr(record, "task_id", None)
        case logger, (str(run_id), *_) if logger == LOGGER_NAME:
            return run_id
    return None
