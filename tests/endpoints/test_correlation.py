"""The correlation id in the logs of the request and of the worker."""

import logging
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from rest_framework.test import APIClient, APIRequestFactory

from taskworks.correlation import CorrelationFilter, correlation_id_of
from taskworks.models import TaskRun
from tests.behavior import run_worker
from tests.endpoints import orders
from tests.endpoints.models import Order

Events = Callable[[], list[str]]


def test_it_is_in_the_runs_metadata(client: APIClient, order: Order) -> None:
    client.post("/Chained/A7/", HTTP_X_CORRELATION_ID="abc-1")
    metadata = TaskRun.objects.values_list("metadata", flat=True)
    assert [*metadata] == [{"correlation_id": "abc-1"}] * 3


def test_it_goes_beside_what_is_there(client: APIClient, order: Order) -> None:
    client.post("/Everything/A7/", HTTP_X_REQUEST_ID="abc-1")
    mail = TaskRun.objects.get(queue_name="mail")
    routing = {"queue": "mail", "routing_key": "mail.fast"}
    assert mail.metadata == {**routing, "correlation_id": "abc-1"}
    client.post("/Everything/A7/")
    assert TaskRun.objects.filter(queue_name="mail").latest("id").metadata == routing


def test_it_is_in_the_workers_log(
    client: APIClient, order: Order, caplog: pytest.LogCaptureFixture
) -> None:
    client.post("/Watched/A7/", HTTP_X_CORRELATION_ID="abc-1")
    client.post("/Watched/A7/")
    with caplog.at_level(logging.INFO, "taskworks.runs"):
        run_worker()
    ended = [
        record
        for record in caplog.records
        if record.name == "taskworks.runs" and ": released" not in record.getMessage()
    ]
    assert len(ended) == 4
    ids = [
        (record.getMessage().endswith("successful (correlation id abc-1)."), record.correlation_id)
        for record in ended
        if hasattr(record, "correlation_id")
    ]
    assert ids == [(True, "abc-1")] * 2


def test_and_in_a_retrys_line_with_what_else_it_says(
    client: APIClient, order: Order, caplog: pytest.LogCaptureFixture
) -> None:
    client.post("/Stubborn/A7/", HTTP_X_CORRELATION_ID="100%s")
    with caplog.at_level(logging.INFO, "taskworks.runs"):
        run_worker()
    [line] = [r.getMessage() for r in caplog.records if r.name == "taskworks.runs"]
    assert "failed, and is retried in" in line
    assert line.endswith("s (correlation id 100%s).")


@pytest.fixture
def log_of_the_tasks() -> Iterator[StringIO]:
    """Return a log whose format has the correlation id."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(correlation_id)s %(message)s"))
    handler.addFilter(CorrelationFilter())
    logger = logging.getLogger("tests.endpoints")
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


def test_and_in_what_a_task_logs_itself(
    client: APIClient, order: Order, log_of_the_tasks: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("tests.endpoints")
    declared = orders.Watched.second.func.declared
    monkeypatch.setattr(declared, "function", lambda order: logger.warning("it works"))
    client.post("/Watched/A7/", HTTP_X_CORRELATION_ID="abc-1")
    run_worker()
    logger.warning("outside")
    assert log_of_the_tasks.getvalue().splitlines() == ["abc-1 it works", "- outside"]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"HTTP_X_CORRELATION_ID": "a", "HTTP_X_REQUEST_ID": "b"}, "a"),
        ({"HTTP_X_REQUEST_ID": " b "}, "b"),
        ({"HTTP_X_CORRELATION_ID": "a\x1b[31m", "HTTP_X_REQUEST_ID": "b"}, "b"),
        ({"HTTP_X_CORRELATION_ID": "x" * 300}, "x" * 200),
        ({"HTTP_X_CORRELATION_ID": ""}, None),
    ],
)
def test_where_it_comes_from(headers: dict[str, str], expected: Any) -> None:
    request = APIRequestFactory().get("/", **headers)
    assert correlation_id_of(request) == expected
    request.correlation_id = "of a middleware"
    assert correlation_id_of(request) == "of a middleware"
