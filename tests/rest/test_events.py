"""``GET /tasks/{id}/events/``: what is told, when, to how many, and at which price."""

import logging
import threading
from collections.abc import Iterator
from typing import Any

import freezegun
import pytest
from django.db import OperationalError, connection
from django.db.backends.utils import CursorWrapper
from rest_framework.test import APIClient

from taskworks.database.payloads import WATCHERS_CHANNEL, asking_for
from taskworks.models import TaskRun
from taskworks.rest.events import stream, watcher
from taskworks.rest.events.hub import hub
from taskworks.store import store
from taskworks.worker import Worker
from tests.rest import address
from tests.rest.browsers import Browser, browsing
from tests.rest.offered import orders
from tests.settings import DATABASE
from tests.waiting import wait_for

on_postgresql = pytest.mark.skipif(DATABASE != "postgresql", reason="only PostgreSQL notifies")


@pytest.fixture
def browser(_api: None) -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


def tell(step: Any) -> None:
    orders.put(step)


def test_a_run_is_followed_to_its_end(browser: Browser, worker: Worker, start: Any) -> None:
    run = start("told")
    reading = browser.open(address(run, "events"))
    assert reading.status == 200
    assert reading.headers["content-type"] == "text/event-stream"
    assert "no-store" in reading.headers["cache-control"]
    assert "taskworks-events" not in reading.headers
    reading.wait("status", status="running")
    tell(lambda task: (task.set_target(8), task.set_progress(2)))
    progress = reading.wait("progress", progress=2)
    assert progress == {"id": run["id"], "progress": 2, "target": 8, "percent": 25.0}
    tell(lambda task: task.add_message("half", level="warning"))
    message = reading.wait("message", message="half")
    assert message["details"]["level"] == "warning"
    tell(None)
    events = reading.wait_for_the_end()
    name, whole = events[-1]
    assert (name, whole["status"], whole["outputs"]) == ("status", "succeeded", {"done": True})
    assert whole["messages"] == ["half"]
    assert reading.body.startswith(b"retry: 2000\n\nid: 1\nevent: status\ndata: ")


def test_a_run_is_followed_while_a_test_has_frozen_time(
    browser: Browser, worker: Worker, start: Any
) -> None:
    with freezegun.freeze_time():
        reading = browser.open(address(start("told"), "events"))
        reading.wait("status", status="running")
        tell(lambda task: task.set_progress(1))
        reading.wait("progress", progress=1)
        tell(None)
        [*_, (_, whole)] = reading.wait_for_the_end()
    assert whole["status"] == "succeeded"


def test_events_are_not_compressed(settings: Any, start: Any) -> None:
    settings.MIDDLEWARE = ["django.middleware.gzip.GZipMiddleware", *settings.MIDDLEWARE]
    with browsing() as browser:
        reading = browser.open(address(start("told"), "events"), **{"accept-encoding": "gzip"})
        assert reading.headers["content-encoding"] == "identity"
        assert reading.body.startswith(b"retry: ")


def test_the_first_event_is_the_whole_run(browser: Browser, client: APIClient, start: Any) -> None:
    run = start("told")
    reading = browser.open(address(run, "events"))
    assert reading.wait("status") == client.get(address(run)).json()


def test_a_run_that_has_ended_is_told_once(browser: Browser, client: APIClient, start: Any) -> None:
    run = start("add", a=1)
    client.post(address(run, "cancel"))
    reading = browser.open(address(run, "events"))
    [(name, data)] = reading.wait_for_the_end()
    assert (name, data["status"]) == ("status", "cancelled")
    [last] = reading.ids
    again = browser.open(address(run, "events"), **{"last-event-id": last})
    again.wait_for_the_end()
    assert (again.status, again.body) == (204, b"")
    client.post(address(run, "retry"))
    anew = browser.open(address(run, "events"), **{"last-event-id": last})
    assert anew.status == 200
    assert anew.wait("status")["status"] == "pending"


def test_a_cancellation_of_a_run_that_waits_is_seen(
    browser: Browser, client: APIClient, start: Any
) -> None:
    run = start("told")
    reading = browser.open(address(run, "events"))
    client.post(address(run, "cancel"))
    assert reading.wait_for_the_end()[-1][1]["status"] == "cancelled"


def test_a_run_that_is_deleted_is_gone(browser: Browser, start: Any) -> None:
    run = start("told")
    reading = browser.open(address(run, "events"))
    TaskRun.objects.all().delete()
    assert reading.wait_for_the_end()[-1] == (
        "gone",
        {"id": run["id"], "detail": "The run has been deleted."},
    )


def test_many_may_watch_one_run(browser: Browser, client: APIClient, start: Any) -> None:
    run = start("told")
    readings = [browser.open(address(run, "events")) for _ in range(3)]
    assert len(hub) == 3
    client.post(address(run, "cancel"))
    for reading in readings:
        assert reading.wait_for_the_end()[-1][1]["status"] == "cancelled"
    wait_for(lambda: len(hub) == 0, "all have left")


def test_a_browser_that_leaves_is_forgotten(browser: Browser, start: Any) -> None:
    reading = browser.open(address(start("told"), "events"))
    assert len(hub) == 1
    reading.leave()
    wait_for(lambda: len(hub) == 0, "it has left")


def test_a_browser_that_leaves_as_it_is_told_something_is_forgotten(
    browser: Browser, start: Any
) -> None:
    path = address(start("told"), "events")
    for _ in range(20):
        browser.open(path).leave()  # while the run is looked at for the first time
    wait_for(lambda: len(hub) == 0, "all have left")


def test_another_user_s_run_is_not_watched(browser: Browser, start: Any, staff: Any) -> None:
    from django.contrib.auth.models import User

    User.objects.create_user("bob")
    path = address(start("told"), "events")
    assert browser.open(path, **{"x-user": "bob"}).status == 404
    assert browser.open(path, **{"x-user": "nobody"}).status == 401
    assert browser.open(path, **{"x-user": "root"}).status == 200


def test_its_head_is_not_asked_for_which_would_hang(client: APIClient, start: Any) -> None:
    assert client.head(address(start("told"), "events")).status_code == 405


def test_under_wsgi_it_says_that_it_does_not_stream(client: APIClient, start: Any) -> None:
    response = client.get(address(start("told"), "events"), HTTP_ACCEPT="text/event-stream")
    assert response.status_code == 406
    assert "get the run every second" in response.json()["detail"]


def test_a_thread_that_has_died_is_replaced(
    browser: Browser, client: APIClient, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(watcher.Watcher, "run", lambda self: None)
        browser.open(address(start("told"), "events"))
        assert hub._watcher
        hub._watcher.join()
    run = start("told")
    reading = browser.open(address(run, "events"))
    client.post(address(run, "cancel"))
    assert reading.wait_for_the_end()[-1][1]["status"] == "cancelled"


def test_a_stream_gives_a_sign_of_life(
    browser: Browser, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "KEEPALIVE_INTERVAL", 0.05)
    reading = browser.open(address(start("told"), "events"))
    wait_for(lambda: b"\n\n:\n\n" in reading.body, "a comment")


def test_a_stream_ends_so_that_its_user_is_looked_at_anew(
    browser: Browser, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MAX_STREAM_DURATION", 0.0)
    reading = browser.open(address(start("told"), "events"))
    assert [name for name, _ in reading.wait_for_the_end()] == ["status"]


def test_an_outage_is_waited_out(
    browser: Browser,
    client: APIClient,
    start: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = start("told")
    reading = browser.open(address(run, "events"))
    looked = watcher.Watcher._look
    failed = threading.Event()

    def look(*args: Any) -> None:
        if not failed.is_set():
            failed.set()
            raise OperationalError("gone away")
        looked(*args)

    with caplog.at_level(logging.WARNING):
        monkeypatch.setattr(watcher.Watcher, "_look", look)
        wait_for(failed.is_set, "it has looked in vain")
        client.post(address(run, "cancel"))
        name, whole = reading.wait_for_the_end()[-1]
    assert (name, whole.get("status")) == ("status", "cancelled")
    assert [record for record in caplog.records if "gone away" in record.getMessage()]


# What it costs.


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements of the thread that looks."""
    executed: list[str] = []
    execute = CursorWrapper.execute

    def counted(self: CursorWrapper, sql: str, params: Any = None) -> Any:
        if threading.current_thread().name == "taskworks-events":
            executed.append(sql)
        return execute(self, sql, params)

    monkeypatch.setattr(CursorWrapper, "execute", counted)
    return executed


class Clock:
    """The watcher's clock, which a test moves; each move is a turn of the watcher's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.turns = 1000.0, 0
        take_new = watcher.Watcher._take_new

        def turn(watching: Any) -> Any:
            self.turns += 1
            return take_new(watching)

        monkeypatch.setattr(watcher.Watcher, "_take_new", turn)
        monkeypatch.setattr(watcher, "time", self)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """No time passes, but when the test says so."""

    def advance(self, seconds: float) -> None:
        """Have the watcher do what there is to do by then; return when it is done."""
        self.now += seconds
        for _ in range(2):  # for the first turn has ended when the second begins
            before = self.turns
            assert hub._watcher
            hub._watcher.wake()
            wait_for(lambda before=before: self.turns > before, "the watcher has turned")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.thorough_on_servers
@pytest.mark.not_every_day
def test_200_streams_cost_one_query_a_second_between_them(
    clock: Clock, browser: Browser, configured: Any, start: Any, queries: list[str]
) -> None:
    configured(API_MAX_USER_STREAMS=200)
    runs = [start("told") for _ in range(50)]
    readings = [browser.open(address(run, "events")) for run in runs for _ in range(4)]
    assert len(hub) == 200
    for reading in readings:
        reading.wait("status")
    clock.advance(0)
    # What is new is looked at, and all of them after it.
    clock.advance(watcher.POLL_INTERVAL_IF_NOTIFIED)
    before = len(queries)
    for _ in range(100):
        clock.advance(0.1)
    print(f"{len(queries) - before} queries in ten seconds")
    assert 5 <= len(queries) - before <= 10
    assert all(reading.status == 200 for reading in readings)
    if DATABASE == "postgresql":
        # This one, two of the hub's, and one to spare.
        wait_for(lambda: open_connections() <= 4, "no more connections are open than that")


def open_connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND backend_type = 'client backend'"
        )
        [(count,)] = cursor.fetchall()
    return int(count)


def test_nobody_s_watching_costs_nothing(start: Any, queries: list[str]) -> None:
    start("told")
    assert queries == []
    assert hub._watcher is None


@on_postgresql
def test_a_worker_tells_of_runs_that_are_watched_and_of_no_others(
    worker: Worker, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    notify = type(store()).notify

    def noted(self: Any, payload: str, channel: str = "taskworks") -> None:
        if channel == WATCHERS_CHANNEL:
            told.append(payload)
        notify(self, payload, channel)

    monkeypatch.setattr(type(store()), "notify", noted)
    wait_for(lambda: worker._threads.wake_ups.works, "it listens")
    orders.put(None)
    first = start("told")
    wait_for(lambda: TaskRun.objects.successful().exists(), "it has ended")
    assert told == []
    second = start("told")
    run_id = TaskRun.objects.get(id=second["id"]).id
    store().notify(asking_for([run_id]))
    wait_for(lambda: run_id in worker._watchers._until, "it knows")
    orders.put(lambda task: task.set_progress(1))
    wait_for(lambda: told, "it tells")
    assert run_id.hex in told[0]
    assert first["id"].replace("-", "") not in "".join(told)


@on_postgresql
def test_what_a_worker_tells_is_shown_at_once(
    browser: Browser, worker: Worker, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "POLL_INTERVAL_IF_NOTIFIED", 600.0)
    wait_for(lambda: worker._threads.wake_ups.works, "it listens")
    reading = browser.open(address(start("told"), "events"))
    for progress in range(1, 6):
        orders.put(lambda task, progress=progress: task.set_progress(progress))
        reading.wait(None, progress=progress)  # the first may come with the status
    tell(None)
    reading.wait("status", status="succeeded")


@on_postgresql
def test_the_switch_turns_it_off(
    browser: Browser, client: APIClient, start: Any, configured: Any, queries: list[str]
) -> None:
    configured(NOTIFY=False)
    run = start("told")
    reading = browser.open(address(run, "events"))
    client.post(address(run, "cancel"))
    assert reading.wait_for_the_end()[-1][1]["status"] == "cancelled"
    assert not [sql for sql in queries if "NOTIFY" in sql]
