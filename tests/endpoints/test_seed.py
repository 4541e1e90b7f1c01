"""The examples of django-declarative-apis run unchanged."""

from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from taskworks.models import TaskRun
from tests.endpoints.models import Order

Events = Callable[[], list[str]]


def test_a_task(client: APIClient, order: Order, events: Events) -> None:
    assert client.get("/SampleFunction/A7/").status_code == 200
    assert events() == ["sample_function"]


def test_set_response_filter(client: APIClient, order: Order) -> None:
    assert client.get("/SampleEndpointDefinition/A7/").json() == {"total": 0}
    assert client.get("/SampleFunction/A7/").json() == {"number": "A7", "note": "please"}


def test_deferrable_task(client: APIClient, order: Order, events: Events, worked: Events) -> None:
    assert client.get("/SampleClass/A7/").status_code == 200
    assert events() == []
    assert worked() == ["sample_method"]


@pytest.mark.parametrize(("query", "runs"), [("", 1), ("?unless", 0)])
def test_deferrable_task_unless(client: APIClient, order: Order, query: str, runs: int) -> None:
    assert client.get(f"/ConditionalSampleClass/A7/{query}").status_code == 200
    assert TaskRun.objects.count() == runs
