"""
Traces with OpenTelemetry: a span for each enqueue and for each attempt, linked to each other.

The names are those of the semantic conventions for messaging, version 1.44.0, whose status is
"development": another version may rename them. The arguments of tasks are never in a span.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from typing import Any

try:
    from opentelemetry import context, propagate, trace
    from opentelemetry.trace import Link, Span, SpanKind, StatusCode
except ImportError as error:
    raise ImportError(
        "Traces need the package opentelemetry-api: pip install 'django-taskworks[opentelemetry]'.",
        name=error.name,
    ) from error

from taskworks import instruments
from taskworks.instruments import EnqueuedRuns, ExecutedAttempt, Instrument

__all__ = ["TaskworksInstrumentor"]

NAME = "opentelemetry"
SCHEMA = "https://opentelemetry.io/schemas/1.44.0"
SYSTEM = "taskworks"
MAX_MESSAGE = 1000  # characters of an exception's text
NANOSECONDS = 1_000_000_000

Attributes = dict[str, Any]


class TaskworksInstrumentor:
    """
    Switches traces on and off in this process, as the instrumentors of OpenTelemetry do; the
    command ``opentelemetry-instrument`` does so by itself.
    """

    def instrument(
        self,
        *,
        tracer_provider: "trace.TracerProvider | None" = None,
        use_span_links: bool = True,
        span_per_run: bool = True,
        **ignored: Any,
    ) -> None:
        """
        Trace from now on, with the spans of this provider, or of the global one.

        With ``use_span_links=False``, the span of an attempt is a child of the span in which its
        run was enqueued, in the same trace; otherwise it begins a trace, and is linked to that
        span. With ``span_per_run=False``, all runs of an ``enqueue_many()`` are linked to one span.
        """
        traces = Traces(tracer_provider, links=use_span_links, span_per_run=span_per_run)
        instruments.add(traces)

    def uninstrument(self, **ignored: Any) -> None:
        """Trace no more."""
        instruments.remove(NAME)

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """True while this process traces."""
        return any(one.name == NAME for one in instruments.in_use)

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return no requirements: Taskworks, to which this belongs, is always the right version."""
        return ()


class Traces(Instrument):
    """Makes the spans."""

    name = NAME

    def __init__(
        self, provider: trace.TracerProvider | None, *, links: bool, span_per_run: bool
    ) -> None:
        self._provider, self._links, self._span_per_run = provider, links, span_per_run
        self._tracer = trace.get_tracer("taskworks", _version(), provider, SCHEMA)

    @contextmanager
    def enqueuing(self, runs: EnqueuedRuns) -> Iterator[None]:
        links = self._created(runs) if len(runs.ids) > 1 and self._span_per_run else None
        # What creates messages is the producer: this span, or one for each of them.
        kind = SpanKind.PRODUCER if links is None else SpanKind.CLIENT
        span = self._tracer.start_span(
            f"send {runs.queue_name}", kind=kind, attributes=_of_sending(runs), links=links
        )
        with _ending(span), trace.use_span(span, record_exception=True):
            if links is None:
                runs.carry(self.name, _carrier())
            try:
                yield
            except BaseException as error:
                span.set_attribute("error.type", _class_of(error))
                raise

    def _created(self, runs: EnqueuedRuns) -> list[Link]:
        """Make a span for each run, which carries its context; return links to these."""
        links, carriers = [], []
        for run_id, size in zip(runs.ids, runs.sizes, strict=True):
            attributes = {**_of_message(runs, "create"), **_of_run(run_id, runs.task, size)}
            name = f"create {runs.queue_name}"
            span = self._tracer.start_span(name, kind=SpanKind.PRODUCER, attributes=attributes)
            carriers.append(_carrier(trace.set_span_in_context(span)))
            span.end()
            links.append(Link(span.get_span_context()))
        runs.carry(self.name, *carriers)
        return links

    @contextmanager
    def executing(self, attempt: ExecutedAttempt) -> Iterator[None]:
        came_with, links = self._origin(attempt)
        token = context.attach(came_with)
        try:
            span = self._tracer.start_span(
                f"process {attempt.queue_name}",
                kind=SpanKind.CONSUMER,
                attributes=_of_attempt(attempt),
                links=links,
            )
            with (
                _ending(span),
                trace.use_span(span, record_exception=False, set_status_on_exception=False),
            ):
                yield
                _add_outcome(span, attempt)
        finally:
            context.detach(token)

    def recording(self, attempts: Sequence[ExecutedAttempt]) -> None:
        for attempt in attempts:
            if self.name not in attempt.seen_by and _deserves_a_span(attempt):
                self._add_span_of_unseen(attempt)

    def flush(self) -> None:
        provider = self._provider or trace.get_tracer_provider()  # which is set by now
        if force_flush := getattr(provider, "force_flush", None):  # which the SDK's has
            force_flush()

    def _add_span_of_unseen(self, attempt: ExecutedAttempt) -> None:
        """Make the span of an attempt whose own process could not."""
        came_with, links = self._origin(attempt)
        span = self._tracer.start_span(
            f"process {attempt.queue_name}",
            came_with,
            kind=SpanKind.CONSUMER,
            attributes=_of_attempt(attempt),
            links=links,
            start_time=_nanoseconds(attempt.began_at or attempt.ended_at),
        )
        _add_outcome(span, attempt)
        span.end(_nanoseconds(attempt.ended_at))

    def _origin(self, attempt: ExecutedAttempt) -> tuple[context.Context, list[Link]]:
        """Return the context in which a span begins, with the baggage of the run, and its links."""
        came_with = propagate.extract(attempt.carried(self.name), context.Context())
        created = trace.get_current_span(came_with).get_span_context()
        if not self._links or not created.is_valid:
            return came_with, []
        return trace.set_span_in_context(trace.INVALID_SPAN, came_with), [Link(created)]


def _version() -> str:
    try:
        return metadata.version("django-taskworks")
    except metadata.PackageNotFoundError:  # its code was put on the path
        return ""


@contextmanager
def _ending(span: Span) -> Iterator[None]:
    try:
        yield
    finally:
        span.end()


def _carrier(of: context.Context | None = None) -> dict[str, str]:
    carrier: dict[str, str] = {}
    propagate.inject(carrier, of)
    return carrier


def _deserves_a_span(attempt: ExecutedAttempt) -> bool:
    return attempt.began_at is not None or attempt.has_failed_for_good


# Attributes.


def _of_sending(runs: EnqueuedRuns) -> Attributes:
    attributes = _of_message(runs, "send")
    if len(runs.ids) == 1:
        return {**attributes, **_of_run(runs.ids[0], runs.task, runs.sizes[0])}
    return {
        **attributes,
        "messaging.batch.message_count": len(runs.ids),
        "taskworks.task": runs.task,
    }


def _of_message(what: EnqueuedRuns | ExecutedAttempt, operation: str) -> Attributes:
    return {
        "messaging.system": SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": what.queue_name,
        "taskworks.backend": what.backend,
    }


def _of_run(run_id: str, task: str, size: int) -> Attributes:
    return {
        "messaging.message.id": run_id,
        "messaging.message.body.size": size,
        "taskworks.task": task,
    }


def _of_attempt(attempt: ExecutedAttempt) -> Attributes:
    return {
        **_of_message(attempt, "process"),
        **_of_run(attempt.run_id, attempt.task, attempt.size),
        "messaging.client.id": attempt.worker,
        "code.function.name": attempt.task,
        "taskworks.attempt": attempt.number,
        "taskworks.executor": attempt.executor,
        "taskworks.wait": attempt.waited,
    }


# Outcomes.


def _add_outcome(span: Span, attempt: ExecutedAttempt) -> None:
    span.set_attribute("taskworks.outcome", attempt.outcome or "unknown")
    if attempt.has_failed_for_good:
        span.set_attribute("error.type", _path_in(attempt.error))
        span.set_status(StatusCode.ERROR, _path_in(attempt.error))
    if attempt.error:
        span.add_event("exception", _described(attempt))
    if attempt.outcome == "retried":
        span.add_event("taskworks.retry", {"taskworks.delay": attempt.delay or 0.0})


def _described(attempt: ExecutedAttempt) -> Attributes:
    return {
        "exception.type": _path_in(attempt.error),
        "exception.message": _text_of(attempt.exception),
        "exception.stacktrace": (attempt.error or {}).get("traceback", ""),
    }


def _text_of(exception: BaseException | None) -> str:
    try:
        return str(exception)[:MAX_MESSAGE]
    except Exception:  # noqa: BLE001 - a task's exception may do anything when asked
        return ""


def _path_in(error: Mapping[str, str] | None) -> str:
    return (error or {}).get("exception_class_path", "_OTHER")


def _class_of(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _nanoseconds(moment: float | None) -> int | None:
    return None if moment is None else int(moment * NANOSECONDS)
