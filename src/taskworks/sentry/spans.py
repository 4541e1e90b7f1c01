"""The spans of enqueues and attempts, in both ways in which the SDK sends spans."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import sentry_sdk

from taskworks.exceptions import TaskTimeout
from taskworks.instruments import EnqueuedRuns, ExecutedAttempt

try:
    from sentry_sdk import traces
    from sentry_sdk.traces import get_current_span as current_streamed
    from sentry_sdk.tracing_utils import has_span_streaming_enabled as is_streaming
except ImportError:  # of the SDK before it streamed spans as it does now

    def is_streaming(options: "dict[str, Any] | None") -> bool:
        return False


ORIGIN = "auto.queue.taskworks"
SYSTEM = "taskworks"
# What Sentry's own integration of Django makes of ``Task.enqueue``.
SUBMIT_OF_DJANGO = "queue.submit.django"
PUBLISH, PROCESS = "queue.publish", "queue.process"

STATUSES = {
    "successful": "ok",
    "snoozed": "ok",
    "failed": "internal_error",
    "lost": "internal_error",
    "cancelled": "cancelled",
    "unknown": "unknown",
}
OTHER_STATUS = "aborted"

End = Callable[[ExecutedAttempt], None]


# Publish.


@contextmanager
def publishing(runs: EnqueuedRuns) -> Iterator[None]:
    """Surround the storing of runs with a span, if there is a span that it can be part of."""
    data = _of_publishing(runs)
    if _is_streaming():
        if current_streamed() is None:
            yield
            return
        with _streamed(runs.task, PUBLISH, data):
            yield
        return
    parent = sentry_sdk.get_current_span()
    if parent is None:
        yield
    elif parent.op == SUBMIT_OF_DJANGO:  # one span is enough
        parent.op = PUBLISH
        _set_data(parent, data)
        yield
    else:
        with sentry_sdk.start_span(op=PUBLISH, name=runs.task, origin=ORIGIN) as span:
            _set_data(span, data)
            yield


def _of_publishing(runs: EnqueuedRuns) -> dict[str, Any]:
    data = {
        "messaging.system": SYSTEM,
        "messaging.destination.name": runs.queue_name,
        "messaging.message.body.size": sum(runs.sizes),
    }
    if len(runs.ids) == 1:
        return {**data, "messaging.message.id": runs.ids[0]}
    return {**data, "messaging.batch.message_count": len(runs.ids)}


# Process.


@contextmanager
def processing(attempt: ExecutedAttempt, carried: Mapping[str, str]) -> Iterator[End]:
    """Continue the trace, and surround an attempt; give a function for its end."""
    data, headers = _of_processing(attempt), {**carried}
    if _is_streaming():
        traces.continue_trace(headers)
        with _streamed(attempt.task, PROCESS, data, parent_span=None) as span:
            yield lambda ended: _end_streamed(span, ended)
        return
    with sentry_sdk.start_transaction(
        _transaction(attempt, headers), custom_sampling_context=_for_the_sampler(attempt)
    ) as span:
        _set_data(span, data)
        yield lambda ended: span.set_status(_status(ended))


def add_process_of_unseen(attempt: ExecutedAttempt, carried: Mapping[str, str]) -> None:
    """
    Continue the trace of an attempt whose own process could not send its span, and send that; what
    is streamed begins and ends now, so there it is left out.
    """
    if _is_streaming():
        traces.continue_trace({**carried})
        return
    transaction = _transaction(attempt, {**carried})
    if attempt.began_at is None or attempt.ended_at is None:
        return
    started = sentry_sdk.start_transaction(
        transaction, custom_sampling_context=_for_the_sampler(attempt)
    )
    started.start_timestamp = datetime.fromtimestamp(attempt.began_at, UTC)
    _set_data(started, _of_processing(attempt))
    started.set_status(_status(attempt))
    started.finish(end_timestamp=datetime.fromtimestamp(attempt.ended_at, UTC))


def _transaction(attempt: ExecutedAttempt, headers: dict[str, str]) -> Any:
    return sentry_sdk.continue_trace(
        headers, op=PROCESS, name=attempt.task, source="task", origin=ORIGIN
    )


def _of_processing(attempt: ExecutedAttempt) -> dict[str, Any]:
    return {
        "messaging.system": SYSTEM,
        "messaging.destination.name": attempt.queue_name,
        "messaging.message.id": attempt.run_id,
        "messaging.message.body.size": attempt.size,
        "messaging.message.receive.latency": round(attempt.waited * 1000, 3),
        "messaging.message.retry.count": attempt.failures,
    }


def _for_the_sampler(attempt: ExecutedAttempt) -> dict[str, Any]:
    described = {
        "task": attempt.task,
        "queue_name": attempt.queue_name,
        "attempt": attempt.number,
        "executor": attempt.executor,
    }
    return {"taskworks": described}


def _status(attempt: ExecutedAttempt) -> str:
    if attempt.has_failed_for_good and isinstance(attempt.exception, TaskTimeout):
        return "deadline_exceeded"
    return STATUSES.get(attempt.outcome or "unknown", OTHER_STATUS)


def _set_data(span: Any, data: Mapping[str, Any]) -> None:
    for name, value in data.items():
        span.set_data(name, value)


# The SDK that streams.


def _is_streaming() -> bool:
    return bool(is_streaming(sentry_sdk.get_client().options))


def _streamed(name: str, op: str, data: Mapping[str, Any], **more: Any) -> Any:
    of_sentry = {
        "sentry.op": op,
        "sentry.origin": ORIGIN,
        **({"sentry.segment.name.source": "task"} if op == PROCESS else {}),
    }
    return traces.start_span(name=name, attributes={**of_sentry, **data}, **more)


def _end_streamed(span: Any, attempt: ExecutedAttempt) -> None:
    span.status = "error" if attempt.has_failed_for_good else "ok"
