"""Celery's events tell of runs, if somebody wants them."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.events.state import State

from taskworks import TaskResult
from taskworks.celery_worker import events
from taskworks.celery_worker.events import CeleryEvents
from taskworks.celery_worker.main_thread import MainThread
from taskworks.execution import Attempt, Snoozed, Succeeded
from taskworks.models import TaskRun
from tests import tasks
from tests.celery_worker.processes import CeleryWorker, StartCelery
from tests.on_request import on_request
from tests.stopping.runs import cancel_under_way, finished
from tests.waiting import wait_for

WORD = "a secret argument"


class Listener:
    """What Celery's own receiver hears, and what its account of tasks makes of that, as Flower."""

    def __init__(self, broker: str) -> None:
        self.heard: list[dict[str, Any]] = []
        self.account = State()
        self._app = Celery("listening", broker=broker, set_as_current=False)
        self._connection = self._app.connection_for_read()
        handlers = {"*": self._hear}
        self._receiver = self._app.events.Receiver(self._connection, handlers=handlers)
        self._thread = threading.Thread(target=self._receiver.capture, daemon=True)
        self._thread.start()

    def of(self, result: TaskResult) -> list[str]:
        """
        The types of the events of a run, in their order; without claims that were given back before
        they began, as on a slow machine.
        """
        told: list[str] = []
        for event in [event for event in self.heard if event.get("uuid") == result.id]:
            if [*told[-1:], event["type"]] == ["task-received", "task-rejected"]:
                told.pop()
            else:
                told.append(event["type"])
        return told

    def wait_for(self, result: TaskResult, last: str) -> list[str]:
        wait_for(lambda: last in self.of(result), f"{last} is heard")
        return self.of(result)

    def hears(self, worker: CeleryWorker) -> bool:
        return any(event["hostname"] == worker.name for event in self.heard)

    def end(self) -> None:
        self._receiver.should_stop = True
        self._thread.join(60)
        self._connection.release()
        self._app.close()

    def _hear(self, event: dict[str, Any]) -> None:
        self.account.event(event)
        self.heard.append(event)


@pytest.fixture
def listen(broker: str) -> Iterator[Listener]:
    listener = Listener(broker)
    yield listener
    listener.end()


@on_request
class TestOfAWorker:
    @pytest.fixture
    def worker(
        self, start_celery: StartCelery, pool: str, broker: str, listen: Listener
    ) -> CeleryWorker:
        worker = start_celery(broker, "-E", pool=pool, size=1).wait_until_connected()
        wait_for(lambda: listen.hears(worker), "it is heard")
        return worker

    def test_a_run_is_received_and_started_and_succeeds(
        self, worker: CeleryWorker, pool: str, listen: Listener, tmp_path: Path
    ) -> None:
        if pool == "solo":
            pytest.skip("a main thread that executes a run tells nobody")
        result = tasks.wait_for_file.enqueue(str(tmp_path / "go"))
        assert listen.wait_for(result, "task-started") == ["task-received", "task-started"]
        (tmp_path / "go").touch()
        assert listen.wait_for(result, "task-succeeded")[2:] == ["task-succeeded"]
        task = listen.account.tasks[result.id]
        assert (task.name, task.state) == ("tests.tasks.wait_for_file", "SUCCESS")
        assert task.worker.hostname == worker.name
        assert 0 < task.runtime < 200
        assert task.received <= task.started <= task.succeeded

    @pytest.mark.usefixtures("worker")
    def test_brief_runs_of_every_kind_have_all_three(self, listen: Listener) -> None:
        for result in (
            tasks.echo.enqueue(WORD, word=WORD),
            tasks.add_async.enqueue(1, 2),
            tasks.add.using(executor="process").enqueue(3, 4),
        ):
            told = ["task-received", "task-started", "task-succeeded"]
            assert listen.wait_for(result, "task-succeeded") == told
        assert WORD not in str(listen.heard)

    @pytest.mark.usefixtures("worker")
    def test_a_run_that_is_tried_again_and_fails(self, listen: Listener) -> None:
        result = tasks.fail.using(max_attempts=2, backoff=0.01).enqueue("no luck")
        told = listen.wait_for(result, "task-failed")
        begins = ["task-received", "task-started"]
        assert told == [*begins, "task-retried", *begins, "task-failed"]
        task = listen.account.tasks[result.id]
        assert (task.state, task.exception) == ("FAILURE", "ValueError: no luck")
        assert task.traceback.startswith("Traceback (most recent call last):")
        assert task.retries == 1


@on_request
def test_a_run_that_is_cancelled_is_revoked(
    start_celery: StartCelery, broker: str, listen: Listener, tmp_path: Path
) -> None:
    worker = start_celery(broker, "-E").wait_until_connected()
    wait_for(lambda: listen.hears(worker), "it is heard")
    result = tasks.wait_for_file.enqueue(str(tmp_path / "never"))
    cancel_under_way(result)
    assert listen.wait_for(result, "task-revoked")[2:] == ["task-revoked"]


@on_request
def test_nothing_is_told_until_somebody_wants_it(
    start_celery: StartCelery, broker: str, listen: Listener
) -> None:
    worker = start_celery(broker).wait_until_connected()
    wait_for(lambda: listen.hears(worker), "it is heard")
    before = tasks.noop.enqueue()
    finished(before)
    with Celery("asking", broker=broker, set_as_current=False) as app:
        app.control.enable_events(destination=[worker.name], reply=True, timeout=10)
        after = tasks.noop.enqueue()
        listen.wait_for(after, "task-succeeded")
        assert listen.of(before) == []
        app.control.disable_events(destination=[worker.name], reply=True, timeout=10)
    last = tasks.noop.enqueue()
    finished(last)
    with Celery("asking", broker=broker, set_as_current=False) as app:
        app.control.inspect([worker.name], timeout=10).ping()
    assert listen.of(last) == []


class Dispatcher:
    """Takes what it is to send."""

    def __init__(self, groups: set[str]) -> None:
        self.enabled, self.groups = True, groups
        self.sent: list[str] = []

    def send(self, kind: str, **fields: Any) -> None:
        self.sent.append(kind)


@pytest.mark.any_database
class TestWithoutAWorker:
    def told(self, dispatcher: Any, **consumer: Any) -> tuple[CeleryEvents, MainThread]:
        connected = {"connection": SimpleNamespace(connected=True), **consumer}
        worker = SimpleNamespace(
            hub=object(), consumer=SimpleNamespace(event_dispatcher=dispatcher, **connected)
        )
        main_thread = MainThread(worker)
        return CeleryEvents(worker, main_thread), main_thread

    def attempt(self) -> Attempt:
        attempt = Attempt(TaskRun(task_path="shop.tasks.mail"), "me")
        attempt.outcome = Succeeded(None)
        return attempt

    @pytest.mark.parametrize(
        ("dispatcher", "is_connected"),
        [(None, True), (Dispatcher({"worker"}), True), (Dispatcher(set()), False)],
    )
    def test_nothing_is_made_of_what_nobody_wants(
        self, dispatcher: Any, is_connected: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(events, "_beginning", None)  # to call it would raise
        connection = SimpleNamespace(connected=is_connected)
        told, main_thread = self.told(dispatcher, connection=connection)
        told.started([self.attempt()])
        told.recorded([self.attempt()])
        assert not main_thread._calls

    def test_what_waits_for_a_main_thread_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(events, "MAX_WAITING", 10)
        dispatcher = Dispatcher(set())
        told, main_thread = self.told(dispatcher)
        for _ in range(100):
            told.recorded([self.attempt()])
        assert len(main_thread._calls) == 1
        main_thread.make_calls()
        assert len(dispatcher.sent) == 10
        told.recorded([self.attempt()])
        main_thread.make_calls()
        assert dispatcher.sent[10:] == ["task-received", "task-succeeded"]

    def test_what_goes_back_is_rejected(self) -> None:
        dispatcher = Dispatcher(set())
        told, main_thread = self.told(dispatcher)
        attempt = self.attempt()
        attempt.began = attempt.claimed
        told.started([attempt])
        attempt.outcome = Snoozed(timedelta(hours=1))
        told.recorded([attempt])
        main_thread.make_calls()
        assert dispatcher.sent == ["task-received", "task-started", "task-rejected"]
