"""Attempts in child processes: spans and reports are made there, or by the worker."""

from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
from django.utils import timezone
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from taskworks import TaskResult
from tests.behavior import run_worker
from tests.traces import shelf
from tests.traces.conftest import Sent, Spans
from tests.traces.to_file import lines_of

pytestmark = pytest.mark.thorough_on_servers

CRASHED = "taskworks.exceptions.TaskCrashed"


def of_run(found: list[dict[str, Any]], result: TaskResult) -> list[dict[str, Any]]:
    return [one for one in found if one["tags"]["run"] == result.id]


def spans_of(spans: Spans, name: str, result: TaskResult) -> list[ReadableSpan]:
    return [one for one in spans[name] if one.attributes["messaging.message.id"] == result.id]


def trace_of(transaction: dict[str, Any]) -> dict[str, Any]:
    return transaction["contexts"]["trace"]


def test_what_is_made_there_and_what_here(spans: Spans, sent: Sent, in_children: Path) -> None:
    with sentry_sdk.start_transaction(name="request"):
        working = shelf.traced_in_child.enqueue()
    failing = shelf.broken_in_child.enqueue("of no use")
    before = timezone.now().timestamp()
    dying = shelf.dies.enqueue()
    run_worker()
    after = timezone.now().timestamp()
    lines = lines_of(in_children / "spans")

    # A span of an attempt is made there, once, and the task's own span is in it.
    assert len(lines) == 4
    [inside] = [one for one in lines if one["name"] == "inside"]
    [process] = [one for one in lines if one["name"] == "process mail"]
    assert inside["parent_id"] == process["context"]["span_id"]
    assert process["parent_id"] is None
    [send] = spans_of(spans, "send mail", working)
    assert [link["context"]["span_id"] for link in process["links"]] == [
        f"0x{send.context.span_id:016x}"
    ]
    assert process["attributes"]["taskworks.executor"] == "process"
    assert process["attributes"]["taskworks.outcome"] == "successful"
    attempts = [one for one in lines if one["name"] == "process default"]
    assert [one["attributes"]["taskworks.outcome"] for one in attempts] == ["retried", "failed"]
    assert [one["status"]["status_code"] for one in attempts] == ["UNSET", "ERROR"]
    assert [one["attributes"]["taskworks.attempt"] for one in attempts] == [1, 2]

    # So is a report, with the frames and variables of the task.
    there = lines_of(in_children / "events")
    [error] = [one for one in there if one["item"] == "event"]
    [raised] = error["exception"]["values"]
    assert (raised["type"], raised["module"]) == ("Broken", "tests.traces.shelf")
    frames = raised["stacktrace"]["frames"]
    assert [frame["function"] for frame in frames] == ["broken_in_child", "break_"]
    assert frames[1]["vars"]["what_is_lost"] == "'a local variable'"
    assert error["tags"]["run"] == failing.id
    transactions = [one for one in there if one["item"] == "transaction"]
    assert len(of_run(transactions, failing)) == 2
    [transaction] = of_run(transactions, working)
    [publish] = sent.spans_of("request")
    assert trace_of(transaction)["parent_span_id"] == publish["span_id"]

    # If the process dies, its worker makes them, of the time that it took.
    assert [one.name for one in spans.all() if one.name.startswith("process")] == [
        "process default"
    ]
    [process_of_dying] = spans_of(spans, "process default", dying)
    assert process_of_dying.status.status_code == StatusCode.ERROR
    assert process_of_dying.attributes["error.type"] == CRASHED
    assert before < process_of_dying.start_time / 1e9 < process_of_dying.end_time / 1e9 < after
    [send_of_dying] = spans_of(spans, "send default", dying)
    assert process_of_dying.links[0].context.span_id == send_of_dying.context.span_id
    [died] = sent.errors
    assert died["exception"]["values"][0]["type"] == "TaskCrashed"
    assert died["tags"]["run"] == dying.id
    assert [one["tags"]["run"] for one in sent.processed] == [dying.id]


@pytest.mark.not_every_day
def test_the_worker_reports_for_child_processes_that_cannot(spans: Spans, sent: Sent) -> None:
    failing = shelf.broken_in_child.using(max_attempts=1).enqueue("of no use")
    run_worker()
    [broken] = sent.errors
    assert broken["tags"]["run"] == failing.id
    [raised] = broken["exception"]["values"]
    assert (raised["type"], raised["module"]) == ("Broken", "tests.traces.shelf")
    frames = raised["stacktrace"]["frames"]
    assert [frame["function"] for frame in frames] == ["broken_in_child", "break_"]
    assert [trace_of(one)["status"] for one in sent.processed] == ["internal_error"]
    assert spans.only("process default").status.status_code == StatusCode.ERROR
