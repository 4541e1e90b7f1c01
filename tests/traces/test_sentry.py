"""What Sentry gets: events, transactions and check-ins, one by one."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sentry_sdk
from django.db import transaction
from django.utils import timezone

from taskworks import TaskResult, chain
from taskworks.framework import LOGGER_NAME
from taskworks.models import Schedule
from taskworks.schedules.firing import fire, fire_now
from taskworks.sentry import TaskworksIntegration
from tests.behavior import rewrite, run_of, run_worker
from tests.traces import shelf
from tests.traces.conftest import Begin, Sent

BROKEN = "tests.traces.shelf.Broken"


def trace_of(transaction: dict[str, Any]) -> dict[str, Any]:
    return transaction["contexts"]["trace"]


def of_run(found: list[dict[str, Any]], result: TaskResult) -> list[dict[str, Any]]:
    return [one for one in found if one["tags"]["run"] == result.id]


# Traces.


@pytest.mark.parametrize("task", [shelf.traced, shelf.traced_async], ids=["thread", "async"])
def test_one_publish_and_one_process(sent: Sent, task: Any) -> None:
    with sentry_sdk.start_transaction(name="request", op="http.server"):
        result = task.enqueue()
    run_worker()
    [publish] = sent.spans_of("request")
    size = len("[]") + len("{}")
    message = {
        "messaging.system": "taskworks",
        "messaging.destination.name": "mail",
        "messaging.message.id": result.id,
        "messaging.message.body.size": size,
    }
    assert publish["op"] == "queue.publish"
    assert publish["description"] == task.module_path
    assert publish["origin"] == "auto.queue.taskworks"
    assert message.items() <= publish["data"].items()

    [process] = sent.processed
    trace = trace_of(process)
    assert process["transaction"] == task.module_path
    assert process["transaction_info"] == {"source": "task"}
    assert trace["origin"] == "auto.queue.taskworks"
    assert (trace["trace_id"], trace["parent_span_id"]) == (
        publish["trace_id"],
        publish["span_id"],
    )
    assert trace["status"] == "ok"
    data = trace["data"]
    assert message.items() <= data.items()
    assert data["messaging.message.retry.count"] == 0
    assert 0 <= data["messaging.message.receive.latency"] < 60_000
    expected = {"task": task.module_path, "queue": "mail", "run": result.id}
    assert expected.items() <= process["tags"].items()
    assert process["contexts"]["taskworks"]["attempt"] == 1
    assert not sent.errors


def test_many_runs_have_one_publish(sent: Sent) -> None:
    with sentry_sdk.start_transaction(name="request"):
        shelf.traced.enqueue_many([(), ()])
        with transaction.atomic():
            shelf.traced.enqueue_on_commit()
        chain(shelf.traced.step()).enqueue()
    run_worker()
    many, on_commit, step = sent.spans_of("request")
    assert many["data"]["messaging.batch.message_count"] == 2
    assert len(sent.processed) == 4
    parents = [trace_of(one)["parent_span_id"] for one in sent.processed]
    assert sorted(parents) == sorted(
        [*[many["span_id"]] * 2, on_commit["span_id"], step["span_id"]]
    )


def test_without_a_transaction_the_trace_goes_on(begin: Begin) -> None:
    sent = begin({"traces_sample_rate": None})
    result = shelf.broken.using(max_attempts=1).enqueue("here")
    carried = run_of(result).metadata["taskworks.instruments"]["sentry"]
    run_worker()
    [error] = sent.errors
    assert carried["sentry-trace"].startswith(trace_of(error)["trace_id"])
    assert not sent.of("transaction")


def test_a_span_of_django_s_integration_becomes_the_publish(sent: Sent) -> None:
    """It makes one around ``Task.enqueue`` of Django's own class."""
    with (
        sentry_sdk.start_transaction(name="request"),
        sentry_sdk.start_span(op="queue.submit.django", name="its name"),
    ):
        result = shelf.traced.enqueue()
    [publish] = sent.spans_of("request")
    assert publish["op"] == "queue.publish"
    assert publish["data"]["messaging.message.id"] == result.id


# Failures.


@pytest.mark.parametrize("task", [shelf.broken, shelf.broken_async], ids=["thread", "async"])
def test_a_failure_is_reported_once_when_it_is_final(sent: Sent, task: Any) -> None:
    sentry_sdk.add_breadcrumb(message="of somebody else")
    result = task.enqueue("of no use")
    run_worker()
    [error] = sent.errors
    [raised] = error["exception"]["values"]
    assert (raised["type"], raised["module"]) == ("Broken", "tests.traces.shelf")
    assert raised["value"] == "('of no use', 'a local variable')"
    assert raised["mechanism"] == {"type": "taskworks", "handled": False}
    frames = raised["stacktrace"]["frames"]
    assert [frame["function"] for frame in frames] == [task.name, "break_"]
    assert frames[1]["vars"]["what_is_lost"] == "'a local variable'"
    assert error["level"] == "error"
    expected = {"task": task.module_path, "queue": "default", "run": result.id}
    assert expected.items() <= error["tags"].items()
    assert error["contexts"]["taskworks"]["attempt"] == 2
    [earlier] = [one for one in error["breadcrumbs"]["values"] if "retry" in str(one["category"])]
    assert earlier["message"] == f"Attempt 1 failed: {BROKEN}"
    assert "of somebody else" not in str(error["breadcrumbs"])

    first, last = sent.processed
    assert [trace_of(one)["status"] for one in (first, last)] == ["aborted", "internal_error"]
    assert [trace_of(o)["data"]["messaging.message.retry.count"] for o in (first, last)] == [0, 1]
    assert trace_of(error)["span_id"] == trace_of(last)["span_id"]
    # A task of the same thread has none of this.
    shelf.traced.enqueue()
    run_worker()
    assert sent.processed[-1]["tags"]["task"] == shelf.traced.module_path
    assert len(sent.errors) == 1


@pytest.mark.any_database
def test_what_never_began_is_reported_without_a_transaction(sent: Sent) -> None:
    expired = shelf.traced.using(expires=60).enqueue()
    rewrite(expired, expires_at=timezone.now() - timedelta(hours=1))
    run_worker()
    [error] = sent.errors
    assert error["exception"]["values"][0]["type"] == "TaskExpired"
    assert error["tags"]["run"] == expired.id
    assert not sent.processed


def test_no_line_of_the_log_is_an_event_of_its_own(
    sent: Sent, caplog: pytest.LogCaptureFixture
) -> None:
    """Sentry makes an event of each line at ERROR: also of other lines than these."""
    shelf.broken.using(max_attempts=1).enqueue("here")
    shelf.snoozes.enqueue()
    run_worker()
    failures = [
        one for one in caplog.records if one.name == LOGGER_NAME and one.levelname == "ERROR"
    ]
    assert len(failures) == 1
    assert len(sent.errors) == 1
    import logging

    logging.getLogger(LOGGER_NAME).error("Task id=%s path=%s state=%s", "other", "path", "FAILED")
    assert len(sent.errors) == 2


def test_cancelled_runs_are_not_reported(sent: Sent) -> None:
    shelf.traced.enqueue().cancel()
    run_worker()
    assert not sent.errors
    assert not sent.processed


def test_attempts_beside_each_other_share_no_scope(sent: Sent) -> None:
    shelf.arrived.clear()
    results = [shelf.meets_another.enqueue() for _ in range(2)]
    run_worker()
    for result in results:
        [error] = [one for one in sent.errors if one["tags"]["run"] == result.id]
        assert error["tags"]["own"] == result.id
        of_task = [o["message"] for o in error["breadcrumbs"]["values"] if "of" in o["message"]]
        assert f"breadcrumb of {result.id}" in of_task
        assert len([one for one in of_task if one.startswith("breadcrumb of")]) == 1
    assert len(sent.processed) == len(sent.errors) == 2


@pytest.mark.any_database
def test_a_transport_that_raises_changes_nothing(sent: Sent, caplog: Any) -> None:
    def refuse(envelope: Any) -> None:
        raise RuntimeError("the network is gone")

    transport: Any = sentry_sdk.get_client().transport
    transport.capture_envelope = refuse
    failing = shelf.broken.enqueue("here")
    working = shelf.traced.enqueue()
    run_worker()
    assert run_of(failing).state == "failed"
    assert len(run_of(failing).errors) == 2
    assert run_of(working).state == "successful"


@pytest.mark.any_database
def test_retries_are_reported_if_asked_for(begin: Begin) -> None:
    sent = begin(report_retries=True)
    shelf.broken.enqueue("here")
    run_worker()
    assert [one["level"] for one in sent.errors] == ["warning", "error"]


@pytest.mark.any_database
def test_spans_that_are_streamed(begin: Begin) -> None:
    """The SDK's other way to send traces, where it has that."""
    if not hasattr(sentry_sdk, "traces"):
        pytest.skip("This SDK has transactions alone.")
    sent = begin({"trace_lifecycle": "stream"})
    with sentry_sdk.traces.start_span(name="request"):
        shelf.broken.using(max_attempts=1).enqueue("here")
    run_worker()
    sentry_sdk.flush()
    assert not sent.of("transaction")
    streamed = [one for item in sent.of("span") for one in item["items"]]
    by_op = {one["attributes"]["sentry.op"]["value"]: one for one in streamed if _has_op(one)}
    publish, process = by_op["queue.publish"], by_op["queue.process"]
    assert process["trace_id"] == publish["trace_id"]
    assert process["parent_span_id"] == publish["span_id"]
    assert process["status"] == "error"
    assert process["attributes"]["messaging.destination.name"]["value"] == "default"
    assert len(sent.errors) == 1


def _has_op(span: dict[str, Any]) -> bool:
    return span["attributes"].get("sentry.op", {}).get("value", "").startswith("queue.")


# Monitors.


def schedule(label: str, task: Any = shelf.traced, **given: Any) -> Schedule:
    given = given or {"interval": timedelta(minutes=90)}
    row = Schedule(label=label, path=task.module_path, wait_for_schedule=False, **given)
    row.save()
    return row


def test_a_monitored_schedule_checks_in(begin: Begin) -> None:
    options = {"checkin_margin": 5, "max_runtime": 30, "slug": "often"}
    sent = begin(monitors={"every now and then": options, "at night": {}})
    often = schedule("every now and then")
    at_night = schedule("at night", shelf.broken, cron="30 2 * * *", args=["at night"])
    unmonitored = schedule("not monitored")
    for one in (often, at_night, unmonitored):
        assert fire(one.pk)
    run_worker()
    by_slug: dict[str, list[Any]] = {"often": [], "at-night": []}
    for one in sent.check_ins:
        by_slug[one["monitor_slug"]].append(one)

    assert [one["status"] for one in by_slug["often"]] == ["in_progress", "ok"]
    begun, ended = by_slug["often"]
    [run] = often.latest_runs()
    assert begun["check_in_id"] == ended["check_in_id"] == run.hex
    assert ended["duration"] >= 0
    assert ended["monitor_config"] == {
        "schedule": {"type": "interval", "value": 90, "unit": "minute"},
        "timezone": "Europe/Berlin",
        "checkin_margin": 5,
        "max_runtime": 30,
    }
    # Retried once: it is still in progress then.
    assert [one["status"] for one in by_slug["at-night"]] == ["in_progress"] * 2 + ["error"]
    assert {one["check_in_id"] for one in by_slug["at-night"]} == {at_night.latest_runs()[0].hex}
    [timing] = {json.dumps(one["monitor_config"]) for one in by_slug["at-night"]}
    assert json.loads(timing) == {
        "schedule": {"type": "crontab", "value": "30 2 * * *"},
        "timezone": "Europe/Berlin",
    }
    # Each firing begins a trace.
    traces = [trace_of(one)["trace_id"] for one in sent.processed]
    assert len({*traces}) == len(traces)


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("timing", "expected"),
    [
        ({"interval": timedelta(seconds=90)}, None),
        ({"interval": timedelta(days=2)}, {"type": "interval", "value": 2, "unit": "day"}),
        ({"cron": "* * * * * *"}, None),
        ({"cron": "0 0 L * *"}, None),
        ({"cron": "0 0 * JUL WED"}, {"type": "crontab", "value": "0 0 * JUL WED"}),
        ({"cron": "@midnight"}, {"type": "crontab", "value": "@daily"}),
    ],
)
def test_the_timetable_of_a_monitor(begin: Begin, timing: Any, expected: Any) -> None:
    sent = begin(monitors=["one"])
    fire_now(schedule("one", **timing))
    run_worker()
    for one in sent.check_ins:
        assert one.get("monitor_config", {}).get("schedule") == expected
    assert [one["status"] for one in sent.check_ins] == ["in_progress", "ok"]


@pytest.mark.any_database
def test_options_that_sentry_does_not_have() -> None:
    with pytest.raises(ValueError, match="'nightly' has no option 'margin'"):
        TaskworksIntegration(monitors={"nightly": {"margin": 5}})


# With the integration of Django.

PROJECT = """
import json, os, sys
sys.path.insert(0, os.environ["FOLDER"])
import django
from django.conf import settings
import sentry_sdk
from sentry_sdk.transport import Transport
from taskworks.sentry import TaskworksIntegration

sent = []
class Stub(Transport):
    def capture_envelope(self, envelope):
        for item in envelope.items:
            sent.append({"item": item.headers["type"], **json.loads(item.payload.get_bytes())})

database = os.environ["FOLDER"] + "/db"
settings.configure(
    INSTALLED_APPS=["taskworks"],
    TASKS={"default": {"BACKEND": "taskworks.backends.database.DatabaseBackend"}},
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}},
    USE_TZ=True,
)
sentry_sdk.init(
    dsn="https://key@sentry.invalid/1",
    transport=Stub,
    traces_sample_rate=1.0,
    integrations=[TaskworksIntegration()],
)
django.setup()
assert sentry_sdk.get_client().get_integration("django")
from django.core.management import call_command
call_command("migrate", verbosity=0)
from shelf import ours, plain
with sentry_sdk.start_transaction(name="request"):
    for task in (ours, plain):
        if task:
            task.enqueue()
call_command("taskworks", "worker", "--batch", verbosity=0)
print(json.dumps(sent))
"""
SHELF = """
from taskworks import task

@task
def ours():
    pass

try:
    from django.tasks.base import Task
except ImportError:
    plain = None
else:
    def plain():
        pass
    plain = Task(func=plain, priority=0, queue_name="default", backend="default", run_after=None)
"""


@pytest.mark.any_database
@pytest.mark.not_every_day
def test_one_publish_beside_the_integration_of_django(tmp_path: Path) -> None:
    """Also of a task of Django's own class, of which it makes a span, from Django 6.0 on."""
    (tmp_path / "shelf.py").write_text(SHELF)
    environment = {**os.environ, "FOLDER": str(tmp_path)}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    done = subprocess.run(
        [sys.executable, "-c", PROJECT],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    sent = json.loads(done.stdout.splitlines()[-1])
    [request] = [one for one in sent if one.get("transaction") == "request"]
    of_queues = [one for one in request["spans"] if one["op"].startswith("queue.")]
    processed = [
        one for one in sent if one["item"] == "transaction" and one["transaction"] != "request"
    ]
    assert {one["op"] for one in of_queues} == {"queue.publish"}
    assert len(of_queues) == len(processed)
    assert {trace_of(one)["parent_span_id"] for one in processed} == {
        one["span_id"] for one in of_queues
    }
    for one in of_queues:
        UUID(one["data"]["messaging.message.id"])
