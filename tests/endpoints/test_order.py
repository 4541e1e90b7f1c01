"""In which order the steps of a request happen, and how often."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from rest_framework.test import APIClient

from taskworks.endpoints import EndpointTasks, task
from taskworks.models import TaskRun
from tests.behavior import run_worker
from tests.endpoints.models import Event, Order

Events = Callable[[], list[str]]


def test_the_order_of_things(client: APIClient, order: Order, events: Events) -> None:
    assert client.post("/InOrder/A7/").json() == {"number": "A7"}
    assert events() == [
        "resource",
        "needed",
        "first",
        "second",
        "third",
        "finalize, saved: True",
        "queued",
        "inline",
        "response",
    ]
    run_worker()
    assert events()[-1] == "in the worker"


def test_three_hundred_requests_on_eight_threads(client: APIClient) -> None:
    numbers = [f"N{index}" for index in range(300)]
    Order.objects.bulk_create(Order(number=number, total=5) for number in numbers)

    def post(number: str) -> Any:
        try:
            return APIClient().post(f"/Shared/{number}/").json()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=8) as executor:
        answers = list(executor.map(post, numbers))
    for number, answer in zip(numbers, answers, strict=True):
        assert answer == {"number": number, "order": ["c", "b", "a"], "runs": 1}
    assert set(Order.objects.values_list("total", flat=True)) == {6}
    assert TaskRun.objects.ready().count() == 300
    run_worker()
    assert list(Event.objects.values_list("name").distinct()) == [("the same: True",)]
    assert Event.objects.values("order").distinct().count() == 300


def test_all_is_again_so_with_the_next_request(
    client: APIClient, order: Order, events: Events
) -> None:
    client.post("/InOrder/A7/")
    first = events()
    Event.objects.all().delete()
    Order.objects.update(note="")
    client.post("/InOrder/A7/")
    assert events() == first


def test_a_task_runner_is_given_the_call_and_the_endpoint(
    client: APIClient, order: Order, events: Events
) -> None:
    client.post("/RunByAnother/A7/")
    assert events() == ["one", "called", "two", "called"]


def test_a_task_is_called_as_the_class_has_it() -> None:
    def count_up(self: Any) -> None: ...

    class Endpoint(EndpointTasks):
        @task(depends_on="count")
        def first(self) -> None: ...

        count = task(count_up)

        @task(depends_on=count, priority=-1)
        def second(self) -> None: ...

    assert [one.name for one in Endpoint._plan.synchronous] == ["count", "second", "first"]


@pytest.mark.parametrize("how", ["get", "post", "put"])
def test_whichever_method(client: APIClient, order: Order, how: str) -> None:
    assert getattr(client, how)("/Shared/A7/").json()["runs"] == 1
