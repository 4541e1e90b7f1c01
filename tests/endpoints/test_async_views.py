"""Async views of adrf: their tasks run, whatever serves them, and whenever the client leaves."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.core.handlers.asgi import ASGIHandler
from rest_framework.test import APIClient

from taskworks.models import TaskRun
from tests.endpoints import async_orders
from tests.endpoints.models import Order
from tests.rest.servers import Served, under_uvicorn
from tests.waiting import wait_for

Events = Callable[[], list[str]]
B1 = {"number": "B1", "note": "hi"}


@pytest.fixture
def server() -> Iterator[Served]:
    with under_uvicorn() as server:
        yield server


@pytest.mark.parametrize("view", ["AsyncCreateOrder", "AsyncCreateByItself"])
def test_a_generic_view_that_creates(client: APIClient, worked: Events, view: str) -> None:
    answer = client.post(f"/{view}/", B1)
    assert answer.status_code == 201
    assert answer.json()["note"] == "hi!"
    assert Order.objects.get().note == "hi!"
    assert worked() == ["mailed hi!"]


def test_under_asgi(server: Served, worked: Events) -> None:
    answer = server.send("POST", "/AsyncCreateOrder/", json.dumps(B1))
    assert answer.status == 201
    assert b'"note":"hi!"' in answer.read_to_the_end()
    assert worked() == ["mailed hi!"]


def test_a_viewset_creates_and_updates(client: APIClient, worked: Events) -> None:
    path = "/async-viewset/orders/"
    assert client.post(path, B1).json()["note"] == "hi!"
    assert client.patch(f"{path}B1/", {"note": "ho"}, format="json").json()["note"] == "ho!"
    put = client.put(f"{path}B1/", {"number": "B1", "note": "ha"}, format="json")
    assert put.json()["note"] == "ha!"
    assert worked() == ["mailed ha!"] * 3
    assert client.get(f"{path}B1/").json()["note"] == "ha!"
    assert client.delete(f"{path}B1/").status_code == 204
    assert TaskRun.objects.count() == 3


def test_a_plain_view_says_when(client: APIClient, order: Order, worked: Events) -> None:
    answer = client.post("/AsyncSignOrder/A7/")
    assert answer.status_code == 202
    assert [run["id"] for run in answer.json()["runs"]] == [str(TaskRun.objects.get().id)]
    assert worked() == ["mailed please!"]


def test_to_block_the_loop_is_refused(client: APIClient, order: Order) -> None:
    client.raise_request_exception = True
    with pytest.raises(SynchronousOnlyOperation, match=r"use `await self\.arun_tasks\(\)`"):
        client.post("/AsyncSignOrder/A7/?blocking")
    assert Order.objects.get().note == "please"


def test_an_exception_stops_what_comes_after_it(client: APIClient, order: Order) -> None:
    assert client.post("/AsyncFails/A7/").status_code == 500
    assert Order.objects.get().note == "please"
    assert not TaskRun.objects.exists()


def test_what_is_not_valid_has_no_tasks(client: APIClient, order: Order) -> None:
    assert client.post("/AsyncCreateOrder/", {"number": "A7"}).status_code == 400
    assert not TaskRun.objects.exists()


@pytest.mark.parametrize("view", ["AsyncCreateSlowly", "CreateSlowly"])
def test_a_client_that_leaves_takes_no_run_with_it(
    server: Served, worked: Events, monkeypatch: pytest.MonkeyPatch, view: str
) -> None:
    listen = ASGIHandler.listen_for_disconnect

    async def listen_and_say(self: Any, receive: Any) -> None:
        try:
            await listen(self, receive)
        finally:
            async_orders.client_is_gone.set()

    monkeypatch.setattr(ASGIHandler, "listen_for_disconnect", listen_and_say)
    async_orders.client_is_gone.clear()
    client = server.send("POST", f"/{view}/", json.dumps(B1))
    wait_for(Order.objects.exists, "the order is saved")
    client.reset()
    wait_for(TaskRun.objects.exists, "its run is enqueued")
    assert "mailed hi!" in worked()
