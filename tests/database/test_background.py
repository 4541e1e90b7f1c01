"""A thread in the background: it outlives what goes wrong, and ends when it is stopped."""

import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError, connections

from taskworks.database import background as module
from taskworks.database.background import BackgroundThread
from taskworks.database.listener import PipeEvent
from tests.connections import begin_elsewhere
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


class Steps(BackgroundThread):
    """Does what a test gives it, and waits to be woken for the next."""

    def __init__(self, *to_do: Callable[[], Any], **given: Any) -> None:
        super().__init__("of-a-test", "default", "testing", **given)
        self.to_do = [*to_do]
        self.done: list[Callable[[], Any]] = []

    def step(self) -> float:
        while self.to_do:
            doing = self.to_do.pop(0)
            self.done.append(doing)
            doing()
        return math.inf


class Keeping(Steps):
    keeps_connection = True


@pytest.fixture
def begun() -> Iterator[Callable[[Steps], Steps]]:
    threads: list[Steps] = []

    def begun(thread: Steps) -> Steps:
        threads.append(thread)
        thread.start()
        return thread

    yield begun
    for thread in threads:
        thread.stop()


def raising(error: BaseException) -> Callable[[], Any]:
    def fail() -> None:
        raise error

    return fail


def test_no_exception_ends_it(
    begun: Callable[[Steps], Steps], caplog: pytest.LogCaptureFixture
) -> None:
    over = threading.Event()
    gone = [raising(OperationalError("gone")) for _ in range(2)]
    begun(Steps(gone[0], raising(ValueError("odd")), gone[1], over.set))
    assert over.wait(60)
    wait_for(lambda: "The database answers again: testing." in caplog.text, "that is logged")
    assert caplog.text.count("Database error while testing; retrying: gone") == 1
    assert caplog.text.count("Unexpected error while testing; retrying.") == 1
    assert "ValueError: odd" in caplog.text


@pytest.mark.parametrize("woken", [threading.Event, PipeEvent])
def test_it_is_woken_for_each_step(
    begun: Callable[[Steps], Steps], woken: Callable[[], Any]
) -> None:
    thread = begun(Steps(woken=woken()))
    for number in range(1, 4):
        thread.to_do.append(lambda: None)
        thread.wake()
        wait_for(lambda number=number: len(thread.done) == number, "it has done the step")


def test_to_stop_it_is_to_wait_for_a_step_under_way(begun: Callable[[Steps], Steps]) -> None:
    inside, go = threading.Event(), threading.Event()
    thread = begun(Steps(lambda: inside.set() or go.wait(60)))
    thread.stop_timeout = 60
    assert inside.wait(60)
    stopping = begin_elsewhere(thread.stop)
    wait_for(lambda: thread.is_stopping, "it is to stop")
    assert thread.is_alive()
    assert not stopping.done()
    go.set()
    stopping.result(timeout=60)
    assert not thread.is_alive()


def test_to_stop_it_takes_no_longer_than_its_timeout(begun: Callable[[Steps], Steps]) -> None:
    inside, go = threading.Event(), threading.Event()
    thread = begun(Steps(lambda: inside.set() or go.wait(60)))
    thread.stop_timeout = 0
    assert inside.wait(60)
    thread.stop()
    assert thread.is_alive()
    go.set()


@pytest.mark.parametrize("kind", [Steps, Keeping])
def test_it_has_a_connection_of_its_own(begun: Callable[[Steps], Steps], kind: type[Steps]) -> None:
    usual, used = connections["default"], []

    def use() -> None:
        connections["default"].ensure_connection()
        used.append(connections["default"])

    thread = begun(kind(use, use))
    wait_for(lambda: len(used) == 2, "it has used it")
    thread.to_do.append(use)
    thread.wake()
    wait_for(lambda: len(used) == 3, "it has used it again")
    assert usual not in used
    assert used[0].settings_dict["CONN_MAX_AGE"] is None
    assert (used[0] is used[2]) is kind.keeps_connection
    thread.stop()
    assert all(connection.connection is None for connection in used)


class TestAPipeEvent:
    def test_is_one_message_however_often_it_is_set(self) -> None:
        event = PipeEvent()
        assert not event.wait(0)
        for _ in range(100_000):  # more than a pipe has room for
            event.set()
        assert event.wait(0)
        event.clear()
        event.clear()
        assert not event.wait(0)
        event.set()
        assert event.wait(0)


def test_it_begins_anew_after_what_comes_between_two_steps(
    begun: Callable[[Steps], Steps],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As when its first connection cannot be made, whatever an engine raises then."""
    over, errors = threading.Event(), [RuntimeError("no token"), TypeError("cannot be copied")]
    usual = module.own_connections

    def own_connections(alias: str) -> Any:
        if errors:
            raise errors.pop(0)
        return usual(alias)

    monkeypatch.setattr(module, "own_connections", own_connections)
    thread = begun(Keeping(over.set))
    assert over.wait(60)
    assert thread.is_alive()
    assert caplog.text.count("Unexpected error while testing; starting over.") == 2


def test_an_exit_within_a_step_does_not_end_it(begun: Callable[[Steps], Steps]) -> None:
    """As by a receiver that calls sys.exit(): the worker would live on without its heartbeat."""
    over = threading.Event()
    begun(Steps(raising(SystemExit()), over.set))
    assert over.wait(60)
