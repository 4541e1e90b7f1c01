"""A broker that refuses, is silent, or freezes: enqueueing neither waits for it nor fails."""

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from taskworks.backends.celery import broker as broker_of_tickets
from taskworks.backends.celery import tickets, weather
from taskworks.backends.celery.messenger import messenger
from taskworks.models import TaskRun
from tests.tasks import noop
from tests.tickets import celery_project
from tests.tickets.conftest import new_app, through
from tests.tickets.proxy import Proxy
from tests.tickets.queues import Queues
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

TROUBLES = ["refuse", "fall_silent", "freeze"]
FOREVER = 600


@pytest.fixture
def queues(
    monkeypatch: pytest.MonkeyPatch, proxy: Proxy, broker: str, backend: Any
) -> Iterator[Queues]:
    """The app comes to the broker through the proxy, and a test looks directly."""
    app = new_app(through(proxy, broker))
    monkeypatch.setattr(celery_project, "app", app)
    queues = Queues(app, broker)
    yield queues
    proxy.end()
    queues.end()
    app.close()


@pytest.fixture
def _who_waits_waits_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    """For an answer of the broker. A test that waits, too, would be ended by its own timeout."""
    bounds = broker_of_tickets.BOUNDED.items()
    patient = {
        name: FOREVER if bound == broker_of_tickets.TIMEOUT else bound for name, bound in bounds
    }
    monkeypatch.setattr(broker_of_tickets, "BOUNDED", patient)
    monkeypatch.setattr(broker_of_tickets, "TIMEOUT", FOREVER)
    _have_pauses(monkeypatch, FOREVER, FOREVER)


@pytest.fixture
def _tries_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    _have_pauses(monkeypatch, 0.05, 0.1)


def _have_pauses(monkeypatch: pytest.MonkeyPatch, shortest: float, longest: float) -> None:
    monkeypatch.setattr(weather, "SHORTEST_PAUSE", shortest)
    monkeypatch.setattr(weather, "LONGEST_PAUSE", longest)
    messenger.begin_anew()


def _enqueue() -> str:
    return noop.using(backend="celery").enqueue().id


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.usefixtures("_who_waits_waits_forever")
def test_nobody_waits_for_it(proxy: Proxy, queues: Queues, trouble: str) -> None:
    first = _enqueue()
    assert queues.ids(1) == [first]
    getattr(proxy, trouble)()
    for _ in range(20):
        _enqueue()
    assert TaskRun.objects.ready().unlimited().count() == 21
    assert _is_over_in_time(messenger.end)


def _is_over_in_time(end: Any) -> bool:
    """Whether it takes a second, and what a slow machine needs; it is not forever."""
    began = time.monotonic()
    end()
    return time.monotonic() - began < FOREVER / 10


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.usefixtures("_tries_again_soon")
def test_tickets_come_again_when_it_is_back(
    proxy: Proxy, queues: Queues, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    caplog.set_level(logging.WARNING, "taskworks")
    getattr(proxy, trouble)()
    _enqueue()
    wait_for(lambda: "No tickets reach" in caplog.text, "somebody says so")
    _enqueue()
    proxy.open()

    def comes() -> list[str]:
        run = _enqueue()
        return [name for name in queues.ids(0) if name == run]

    wait_for(comes, "a ticket")
    wait_for(lambda: "again" in caplog.records[-1].message, "somebody says so")
    assert len(caplog.records) == 2


def test_of_an_address_that_cannot_be_read_nothing_is_logged(
    backend: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What Python says of it has a part of the password, whoever fails by it."""
    caplog.set_level(logging.WARNING, "taskworks")
    monkeypatch.setattr(celery_project, "app", new_app("amqp://me:hunter2/x@127.0.0.1//"))
    _enqueue()
    wait_for(lambda: "No tickets reach" in caplog.text, "somebody says so")
    assert "look for runs by themselves: ValueError" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.usefixtures("_tries_again_soon")
def test_a_connection_that_the_broker_has_closed_costs_no_ticket(
    proxy: Proxy, queues: Queues, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "taskworks")
    first = _enqueue()
    assert queues.ids(1) == [first]
    proxy.refuse()
    proxy.open()

    def comes() -> list[str]:
        # What is written into a connection that the other end has closed is lost without a word
        # the first time.
        run = _enqueue()
        return [name for name in queues.ids(0) if name == run]

    wait_for(comes, "a ticket")
    assert caplog.text == ""


def test_what_waits_is_bounded_and_what_is_old_is_dropped(
    monkeypatch: pytest.MonkeyPatch, proxy: Proxy, queues: Queues
) -> None:
    monkeypatch.setattr(tickets, "MAX_WAITING", 5)
    proxy.refuse()
    of_backend = messenger._of_backends
    for _ in range(20):
        _enqueue()
    assert of_backend["celery"]._waiting.qsize() <= 5


@pytest.mark.usefixtures("_tries_again_soon")
def test_a_queue_that_the_broker_refuses_is_no_outage(
    queues: Queues, broker: str, caplog: pytest.LogCaptureFixture
) -> None:
    if not broker.startswith("amqp"):
        pytest.skip("Redis has no arguments of queues")
    caplog.set_level(logging.WARNING, "taskworks")
    other = f"{queues.default}-other"
    queues.take(0, other)  # declares it
    app = celery_project.app
    app.amqp.queues[other].queue_arguments = {"x-max-priority": 3}
    noop.using(backend="celery", queue_name=other).enqueue()
    run = _enqueue()
    assert queues.ids(1) == [run]
    [record] = caplog.records
    assert f"the queue {other!r}" in record.message
    assert "x-max-priority" in record.message


@pytest.mark.usefixtures("_tries_again_soon")
def test_an_app_that_cannot_be_imported_is_said_once(
    backend: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING, "taskworks")
    monkeypatch.setattr(weather, "LOG_INTERVAL", 0)
    backend["OPTIONS"]["CELERY_APP"] = "tests.tickets.nowhere:app"
    failures = []
    real = weather.Weather.note_failure
    monkeypatch.setattr(
        weather.Weather,
        "note_failure",
        lambda self, error: (failures.append(error), real(self, error)),
    )

    def fails_again() -> bool:
        _enqueue()
        return len(failures) >= 3

    wait_for(fails_again, "three failures")
    [record] = caplog.records
    assert "'tests.tickets.nowhere:app', which cannot be imported" in record.message
    assert TaskRun.objects.ready().unlimited().exists()


@pytest.mark.not_every_day
@pytest.mark.parametrize("trouble", ["freeze", "open"])
def test_a_process_ends_in_time(proxy: Proxy, queues: Queues, broker: str, trouble: str) -> None:
    """It would wait for ten minutes, if it waited for the broker."""
    getattr(proxy, trouble)()
    out = _printed_by("tests.tickets.ending", through(proxy, broker), queues.default, trouble)
    if trouble == "open":
        assert queues.ids(1) == out


@pytest.mark.not_every_day
def test_a_child_has_a_thread_and_a_connection_of_its_own(
    queues: Queues, proxy: Proxy, broker: str
) -> None:
    *runs, connected = _printed_by("tests.tickets.forking", through(proxy, broker), queues.default)
    assert {*queues.ids(6)} == {*runs}
    assert connected == "1"  # and no child has closed it


@pytest.mark.not_every_day
def test_a_child_does_not_wait_for_a_connection_of_its_parent(queues: Queues, broker: str) -> None:
    """It could not begin: the thread that would end what it waits for is not there."""
    runs = _printed_by("tests.tickets.forking_amid", broker, queues.default)
    assert {*queues.ids(3)} == {*runs}


@pytest.mark.not_every_day
def test_nothing_is_imported_while_it_connects(queues: Queues, broker: str) -> None:
    """A child that is forked then could never more look up the address of a host."""
    assert _printed_by("tests.tickets.connecting", broker, queues.default) == []


def _printed_by(*command: str) -> list[str]:
    process = subprocess.run(
        [sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True, timeout=240, check=True
    )
    return process.stdout.split()
