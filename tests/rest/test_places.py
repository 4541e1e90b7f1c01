"""The places of event streams: who has how many, what they cost, and when they are free again."""

import gc
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from rest_framework.test import APIClient

from taskworks.models import TaskRun
from taskworks.options.owner import ANYBODY
from taskworks.rest import views
from taskworks.rest.events import stream
from taskworks.rest.events.hub import hub
from taskworks.rest.events.places import Holder, holder_of
from taskworks.rest.serializers import run_as_json
from tests.rest import address
from tests.rest.browsers import Browser, browsing
from tests.rest.servers import Client, Served, under_uvicorn, under_wsgi
from tests.waiting import wait_for

pytestmark = pytest.mark.thorough_on_servers
ANN = {"X_User": "ann"}
AT = "2026-01-01T00:00:00+00:00"


@pytest.fixture
def browser(_api: None) -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


@pytest.fixture
def server(_api: None) -> Iterator[Served]:
    with under_uvicorn() as server:
        yield server


@pytest.fixture
def anybody_s(configured: Any, start: Any) -> str:
    """The events of a run that everybody may see."""
    configured(API_PERMISSION_CLASSES=["rest_framework.permissions.AllowAny"])
    run = start("told")
    TaskRun.objects.update(owner=ANYBODY)
    return address(run, "events")


# Who has how many.


def test_there_is_a_bound_on_open_streams(browser: Browser, configured: Any, start: Any) -> None:
    configured(API_MAX_STREAMS=2)
    path = address(start("told"), "events")
    assert [browser.open(path).status for _ in range(3)] == [200, 200, 429]
    assert browser.open(path).headers["retry-after"] == "10"


def test_one_user_does_not_take_them_all(
    browser: Browser, configured: Any, start: Any, staff: Any
) -> None:
    configured(API_MAX_USER_STREAMS=2)
    paths = [address(start("told"), "events") for _ in range(3)]
    assert [browser.open(path).status for path in paths] == [200, 200, 429]
    assert browser.open(paths[0], **{"x-user": "root"}).status == 200


def opened(client: Client) -> int:
    """The status of the answer; of a stream after it has got its place."""
    status = client.status
    if status == 200:
        client.read_until(b"retry: ")
    return status


def test_one_address_does_not_take_them_all(
    server: Served, configured: Any, anybody_s: str
) -> None:
    configured(API_MAX_USER_STREAMS=2)
    assert [opened(server.ask(anybody_s)) for _ in range(3)] == [200, 200, 429]
    assert opened(server.ask(anybody_s, source="127.0.0.2")) == 200
    assert opened(server.ask(anybody_s, **ANN)) == 200


def test_the_anonymous_leave_places_to_users(
    server: Served, configured: Any, anybody_s: str
) -> None:
    configured(API_MAX_ANONYMOUS_STREAMS=2, API_MAX_STREAMS=3)
    sources = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
    assert [opened(server.ask(anybody_s, source=one)) for one in sources] == [200, 200, 429]
    assert opened(server.ask(anybody_s, **ANN)) == 200


def test_whom_an_address_stands_for() -> None:
    def address_of(given: str) -> str:
        return holder_of(ANYBODY, given).address

    assert holder_of("7", "192.0.2.1") == Holder("7")
    assert address_of("192.0.2.1") == address_of("::ffff:192.0.2.1") == "192.0.2.1"
    # Whoever has one address of a network of IPv6 has 2 ** 64 of them.
    assert address_of("2001:db8::1") == address_of("2001:db8::ffff:0:0:1") == "2001:db8::"
    assert address_of("2001:db8:0:1::1") != address_of("2001:db8::1")
    assert address_of("fe80::1%eth0") == "fe80::"
    assert address_of("") == ""


def test_of_many_that_come_at_once_no_more_stay(
    browser: Browser, configured: Any, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(API_MAX_STREAMS=2)
    # As all have asked before any began.
    monkeypatch.setattr(views.hub, "has_place_for", lambda holder: True)
    path = address(start("told"), "events")
    first, second, third = (browser.open(path) for _ in range(3))
    assert [name for name, _ in third.wait_for_the_end()] == ["status"]
    wait_for(lambda: len(hub) == 2, "the third has left")
    assert not first.is_over
    assert not second.is_over


# When they are free again.


def test_who_reads_no_more_keeps_no_place_after_the_end(
    server: Served, client: APIClient, start: Any
) -> None:
    run = start("told")
    server.ask(address(run, "events"), **ANN).read_until(b"retry: ")
    client.post(address(run, "cancel"))
    wait_for(lambda: len(hub) == 0, "its place is free")


@pytest.fixture
def _no_collection() -> Iterator[None]:
    """As in a large process, whose garbage is collected rarely."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collection")
def test_who_reads_no_more_of_much_loses_the_place(
    server: Served, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "KEEPALIVE_INTERVAL", 0.01)
    monkeypatch.setattr(stream, "MAX_SEND_TIME", 0.5)
    run, path = _with_much_to_say(start)
    client = server.ask(path, **ANN)
    client.read_until(b"retry: ")
    wait_for(lambda: len(hub) == 0, "its place is free")
    assert TaskRun.objects.get(id=run["id"]).state == "ready"
    # What was sent still comes, but not the end of the stream.
    assert not client.read_to_the_end().endswith(b"0\r\n\r\n")


def test_who_reads_much_keeps_the_place(server: Served, client: APIClient, start: Any) -> None:
    run, path = _with_much_to_say(start)
    reader = server.ask(path, **ANN)
    reader.read_until(b"retry: ")
    client.post(address(run, "cancel"))
    assert reader.read_to_the_end().endswith(b"0\r\n\r\n")
    assert len(hub) == 0


def _with_much_to_say(start: Any) -> tuple[Any, str]:
    """A run whose events are larger than the 4 MB that a system holds back for a client."""
    run = start("told")
    messages = [{"text": "m" * 1000, "level": "info", "at": AT} for _ in range(5000)]
    TaskRun.objects.update(messages=messages)
    assert len(json.dumps(run_as_json(TaskRun.objects.get()))) > 5_000_000
    return run, address(run, "events")


def test_who_is_cut_off_loses_the_place(server: Served, start: Any) -> None:
    client = server.ask(address(start("told"), "events"), **ANN)
    client.read_until(b"retry: ")
    assert len(hub) == 1
    client.reset()
    wait_for(lambda: len(hub) == 0, "its place is free")


# What they cost.


def test_streams_keep_no_threads(server: Served, start: Any) -> None:
    path = address(start("told"), "events")
    before = threading.active_count()
    for _ in range(20):
        server.ask(path, **ANN)
    wait_for(lambda: len(hub) == 20, "all are open")
    wait_for(lambda: threading.active_count() <= before + 1, "one thread watches for all of them")


def test_under_wsgi_nothing_is_kept(start: Any) -> None:
    path = address(start("told"), "events")
    with under_wsgi() as server:
        before = threading.active_count()
        assert [server.ask(path, **ANN).status for _ in range(5)] == [406] * 5
        wait_for(lambda: threading.active_count() <= before, "the threads have ended")
    assert len(hub) == 0
    assert hub._watcher is None
