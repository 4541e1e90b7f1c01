"""Spans, one by one, as an exporter gets them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from opentelemetry import baggage, context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from taskworks import TaskResult, Unique, Workflow, chain, instruments
from taskworks.models import Schedule, TaskRun
from taskworks.opentelemetry import TaskworksInstrumentor
from taskworks.reserved_metadata import OF_INSTRUMENTS
from taskworks.testing import run_tasks
from tests.behavior import rewrite, run_of, run_worker
from tests.traces import shelf
from tests.traces.conftest import Spans
from tests.traces.provider import provider

tracer = provider.get_tracer("of the test")


@pytest.fixture
def request_span() -> Iterator[ReadableSpan]:
    with tracer.start_as_current_span("request") as span:
        yield span


def is_child(span: ReadableSpan, parent: ReadableSpan) -> bool:
    return span.parent is not None and (
        (span.parent.trace_id, span.parent.span_id)
        == (parent.context.trace_id, parent.context.span_id)
    )


def is_linked(span: ReadableSpan, other: ReadableSpan) -> bool:
    return [link.context.span_id for link in span.links] == [other.context.span_id]


def result_of(result: TaskResult) -> TaskResult:
    result.refresh()
    return result


# Each executor.


@pytest.mark.parametrize("task", [shelf.traced, shelf.traced_async], ids=["thread", "async"])
def test_an_enqueue_and_its_attempt(spans: Spans, request_span: ReadableSpan, task: Any) -> None:
    token = context.attach(baggage.set_baggage("customer", "Ada"))
    result = task.enqueue()
    context.detach(token)
    run_worker()
    assert result_of(result).return_value == "for Ada"
    send, process = spans.only("send mail"), spans.only("process mail")
    size = len("[]") + len("{}")
    shared = {
        "messaging.system": "taskworks",
        "messaging.destination.name": "mail",
        "messaging.message.id": result.id,
        "messaging.message.body.size": size,
        "taskworks.task": task.module_path,
        "taskworks.backend": "default",
    }

    assert send.kind == SpanKind.PRODUCER
    assert is_child(send, request_span)
    operation = {"messaging.operation.name": "send", "messaging.operation.type": "send"}
    assert dict(send.attributes) == {**shared, **operation}
    assert send.status.status_code == StatusCode.UNSET
    assert send.instrumentation_scope.schema_url == "https://opentelemetry.io/schemas/1.44.0"

    assert process.kind == SpanKind.CONSUMER
    assert process.parent is None
    assert process.context.trace_id != send.context.trace_id
    assert is_linked(process, send)
    attributes = dict(process.attributes)
    assert 0 <= attributes.pop("taskworks.wait") < 60
    assert attributes.pop("messaging.client.id") == result.worker_ids[0]
    assert attributes == {
        **shared,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "code.function.name": task.module_path,
        "taskworks.attempt": 1,
        "taskworks.executor": task.policy.executor,
        "taskworks.outcome": "successful",
    }
    assert process.status.status_code == StatusCode.UNSET
    assert not process.events

    inside = spans["inside"]
    assert len(inside) == (2 if task is shelf.traced_async else 1)
    assert all(is_child(span, process) for span in inside)
    assert sorted(spans.names()) == sorted(["send mail", *["inside"] * len(inside), "process mail"])


# Outcomes.


def test_only_a_final_failure_is_an_error(spans: Spans) -> None:
    failing = shelf.broken.enqueue("of no use")
    works = shelf.works_in_the_end.using(queue_name="mail").enqueue()
    snoozed = shelf.snoozes.using(queue_name="imports").enqueue()
    run_worker()
    send = next(o for o in spans["send default"])
    first, last = spans["process default"]
    path = "tests.traces.shelf.Broken"
    assert [one.attributes["taskworks.outcome"] for one in (first, last)] == ["retried", "failed"]
    assert all(is_linked(one, send) for one in (first, last))
    assert first.status.status_code == StatusCode.UNSET
    assert "error.type" not in first.attributes
    assert [event.name for event in first.events] == ["exception", "taskworks.retry"]
    assert dict(first.events[1].attributes) == {"taskworks.delay": 0.0}
    for event in (first.events[0], *last.events):
        assert event.name == "exception"
        assert event.attributes["exception.type"] == path
        assert "of no use" in event.attributes["exception.message"]
        assert "break_(text)" in event.attributes["exception.stacktrace"]
    assert last.status.status_code == StatusCode.ERROR
    assert last.attributes["error.type"] == path

    of_working = spans["process mail"]
    assert [one.attributes["taskworks.outcome"] for one in of_working] == [
        "retried",
        "retried",
        "successful",
    ]
    assert [one.attributes["taskworks.attempt"] for one in of_working] == [1, 2, 3]
    assert {one.status.status_code for one in of_working} == {StatusCode.UNSET}
    assert result_of(works).return_value == "at last"
    assert spans.only("process imports").attributes["taskworks.outcome"] == "snoozed"
    assert not result_of(snoozed).is_finished
    assert result_of(failing).is_finished


@pytest.mark.any_database
def test_runs_that_never_begin(spans: Spans) -> None:
    """A failed one has a span, so that it can be found; a cancelled one has none."""
    expired = shelf.traced.using(expires=60).enqueue()
    rewrite(expired, expires_at=timezone.now() - timedelta(hours=1))
    shelf.traced.enqueue().cancel()
    run_worker()
    process = spans.only("process mail")
    assert process.attributes["messaging.message.id"] == expired.id
    assert process.attributes["error.type"] == "taskworks.exceptions.TaskExpired"
    assert process.status.status_code == StatusCode.ERROR


@pytest.mark.any_database
@pytest.mark.not_every_day
def test_a_timeout(spans: Spans) -> None:
    shelf.never_ends.enqueue()
    run_worker()
    process = spans.only("process default")
    assert process.attributes["error.type"] == "taskworks.exceptions.TaskTimeout"
    assert process.status.status_code == StatusCode.ERROR


def test_transactional_tasks(spans: Spans) -> None:
    for fails in (False, True):
        shelf.transactional.enqueue(fails)
    run_worker()
    outcomes = {one.attributes["taskworks.outcome"] for one in spans["process default"]}
    assert outcomes == {"successful", "failed"}
    assert len(spans["process default"]) == 2


# Ways to enqueue.


def test_on_commit_the_span_is_in_that_of_the_call(spans: Spans) -> None:
    with tracer.start_as_current_span("request") as request, transaction.atomic():
        with tracer.start_as_current_span("view") as view:
            shelf.traced.enqueue_on_commit()
        assert spans.names() == ["view"]
    assert is_child(spans.only("send mail"), view)
    assert spans.names() == ["view", "send mail", "request"]
    run_worker()
    assert is_linked(spans.only("process mail"), spans.only("send mail"))
    assert request.context.trace_id == view.context.trace_id

    with transaction.atomic():
        shelf.traced.enqueue_on_commit()
        transaction.set_rollback(True)
    assert len(spans["send mail"]) == 1


def test_each_run_of_many_has_its_span(spans: Spans, request_span: ReadableSpan) -> None:
    results = shelf.traced.enqueue_many([(), (), ()])
    created, send = spans["create mail"], spans.only("send mail")
    assert [one.attributes["messaging.message.id"] for one in created] == [r.id for r in results]
    assert {one.kind for one in created} == {SpanKind.PRODUCER}
    assert all(is_child(one, request_span) for one in [*created, send])
    assert send.kind == SpanKind.CLIENT
    assert send.attributes["messaging.batch.message_count"] == 3
    assert "messaging.message.id" not in send.attributes
    assert [link.context.span_id for link in send.links] == [o.context.span_id for o in created]
    run_worker()
    for process in spans["process mail"]:
        [origin] = [
            one
            for one in created
            if one.attributes["messaging.message.id"] == process.attributes["messaging.message.id"]
        ]
        assert is_linked(process, origin)
    assert len(spans["process mail"]) == 3
    for result in results:
        assert run_of(result).metadata == result.metadata


def test_one_span_for_many(spans: Spans) -> None:
    TaskworksInstrumentor().instrument(tracer_provider=provider, span_per_run=False)
    shelf.traced.enqueue_many([(), ()])
    send = spans.only("send mail")
    assert send.kind == SpanKind.PRODUCER
    run_worker()
    assert [is_linked(one, send) for one in spans["process mail"]] == [True, True]
    assert not spans["create mail"]


def test_a_child_instead_of_a_link(spans: Spans, request_span: ReadableSpan) -> None:
    TaskworksInstrumentor().instrument(tracer_provider=provider, use_span_links=False)
    shelf.traced.enqueue()
    run_worker()
    send, process, inside = map(spans.only, ("send mail", "process mail", "inside"))
    assert is_child(process, send)
    assert is_child(inside, process)
    assert not process.links
    assert {one.context.trace_id for one in (send, process, inside)} == {
        request_span.context.trace_id
    }


def test_a_task_that_enqueues(spans: Spans) -> None:
    shelf.enqueues.enqueue()
    run_worker()
    assert is_child(spans.only("send mail"), spans.only("process default"))


def test_workflows(spans: Spans, request_span: ReadableSpan) -> None:
    """Also of steps that wait, and when the workflow is stored on commit."""
    workflow = Workflow("both")
    workflow.add("first", shelf.traced.step())
    workflow.add("second", shelf.traced_async.step(), after="first")
    workflow.enqueue()
    sent = spans["send mail"]
    assert all(is_child(one, request_span) for one in sent)
    by_task = {one.attributes["taskworks.task"]: one for one in sent}
    assert {*by_task} == {shelf.traced.module_path, shelf.traced_async.module_path}
    run_worker()
    processed = spans["process mail"]
    assert len(processed) == 2
    for one in processed:
        assert is_linked(one, by_task[one.attributes["taskworks.task"]])

    with transaction.atomic():
        chain(shelf.traced.step()).enqueue()
    assert len(spans["send mail"]) == 3


def test_a_run_that_follows_another(spans: Spans) -> None:
    first = shelf.traced.enqueue()
    backend: Any = shelf.traced.get_backend()
    backend.enqueue_after(shelf.traced, [], {}, first)
    run_worker()
    assert len(spans["send mail"]) == len(spans["process mail"]) == 2


def test_schedules_begin_a_trace(spans: Spans) -> None:
    from taskworks.schedules.firing import fire

    label, path = "often", shelf.traced.module_path
    schedule = Schedule(
        label=label, path=path, interval=timedelta(hours=1), wait_for_schedule=False
    )
    schedule.save()
    assert fire(schedule.pk)
    run_worker()
    send = spans.only("send mail")
    assert send.parent is None
    assert is_linked(spans.only("process mail"), send)
    [run] = TaskRun.objects.all()
    assert run.metadata["taskworks.schedule"]["label"] == label


def test_what_a_unique_key_keeps_from_being_stored_has_no_span(spans: Spans) -> None:
    task = shelf.traced.using(unique=Unique(while_="waiting", on_conflict="replace"))
    assert task.enqueue().id == task.enqueue().id
    run_worker()
    assert is_linked(spans.only("process mail"), spans.only("send mail"))


def test_a_run_that_a_person_retries_keeps_its_link(spans: Spans) -> None:
    result = shelf.forgets_metadata.enqueue()
    run_worker()
    assert result_of(result).metadata["mine"] == 1
    rewrite(result, state="failed")
    assert result.retry()
    run_worker()
    assert [is_linked(one, spans.only("send default")) for one in spans["process default"]] == [
        True,
        True,
    ]


@pytest.mark.any_database
def test_an_enqueue_that_fails(spans: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the disk is full")

    from taskworks.store import store

    monkeypatch.setattr(type(store()), "_insert_due", refuse)
    with pytest.raises(RuntimeError, match="the disk is full"):
        shelf.traced.enqueue()
    send = spans.only("send mail")
    assert send.status.status_code == StatusCode.ERROR
    assert send.attributes["error.type"] == "builtins.RuntimeError"
    assert [event.name for event in send.events] == ["exception"]


def test_the_test_kit_traces_as_a_worker_does(spans: Spans, request_span: ReadableSpan) -> None:
    shelf.traced.enqueue()
    shelf.broken.using(max_attempts=1, queue_name="imports").enqueue("here")
    run_tasks(raise_failures=False)
    process = spans.only("process mail")
    assert process.parent is None
    assert is_linked(process, spans.only("send mail"))
    assert is_child(spans.only("inside"), process)
    assert spans.only("process imports").status.status_code == StatusCode.ERROR


# Bad input.


NONSENSE: list[Any] = [
    "text",
    ["traceparent"],
    {"opentelemetry": "text"},
    {"opentelemetry": {"traceparent": 7}},
    {"opentelemetry": {"traceparent": "nonsense", "tracestate": "==,,", "baggage": "=%zz;;"}},
    {"opentelemetry": {"traceparent": "x" * 100_000}},
    {"opentelemetry": {"traceparent": "00-" + "0" * 32 + "-" + "0" * 16 + "-01"}},
    {"opentelemetry": {str(number): "x" for number in range(1000)}},
    {"sentry": {"sentry-trace": "x", "monitor": "[", "baggage": "sentry-a=%zz,=,"}},
    {"sentry": {"monitor": '["slug"]'}},
    {"sentry": {"monitor": "[7, 7]"}},
]


@pytest.mark.any_database
def test_nonsense_in_what_a_run_carries(
    spans: Spans, sent: Any, caplog: pytest.LogCaptureFixture
) -> None:
    results = [shelf.traced.enqueue() for _ in NONSENSE]
    for result, given in zip(results, NONSENSE, strict=True):
        rewrite(result, metadata={OF_INSTRUMENTS: given})
    run_worker()
    assert {result_of(result).status for result in results} == {"SUCCESSFUL"}
    assert [one.links for one in spans["process mail"]] == [()] * len(NONSENSE)
    assert {one.parent for one in spans["process mail"]} == {None}
    assert len(sent.processed) == len(NONSENSE)
    assert not sent.check_ins
    assert "The instrument" not in caplog.text


class BrokenExporter(SpanExporter):
    calls = 0

    def export(self, exported: Any) -> Any:
        self.calls += 1
        raise RuntimeError("the collector is gone")


class BrokenProcessor(SpanProcessor):
    """Of a project, which does not catch what the SDK's own do."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise RuntimeError("cannot begin")

    def on_end(self, span: Any) -> None:
        raise RuntimeError("cannot end")


@pytest.mark.any_database
@pytest.mark.parametrize("task", [shelf.works_in_the_end, shelf.traced_async])
def test_an_exporter_that_raises_changes_nothing(task: Any) -> None:
    exporter = BrokenExporter()
    for processor in (SimpleSpanProcessor(exporter), BrokenProcessor()):
        broken = TracerProvider(shutdown_on_exit=False)
        broken.add_span_processor(processor)
        TaskworksInstrumentor().instrument(tracer_provider=broken)
        result = task.enqueue()
        run_worker()
        assert result_of(result).status == "SUCCESSFUL"
    assert exporter.calls >= 2


# Switched on and off.


@pytest.mark.any_database
def test_the_instrumentor_is_called_as_those_of_opentelemetry() -> None:
    instrumentor = TaskworksInstrumentor()
    assert not instrumentor.is_instrumented_by_opentelemetry
    instrumentor.instrument(skip_dep_check=True)
    instrumentor.instrument(skip_dep_check=True)
    assert TaskworksInstrumentor().is_instrumented_by_opentelemetry
    assert len(instruments.in_use) == 1
    shelf.traced.enqueue()  # without an SDK, there is nothing to carry
    assert not TaskRun.objects.get().metadata
    run_worker()
    assert TaskRun.objects.get().state == "successful"
    instrumentor.uninstrument()
    assert not instruments.in_use
    assert not instrumentor.instrumentation_dependencies()
