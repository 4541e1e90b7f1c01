"""Runs that ``revoke`` cancels, by one thread."""

import threading

import pytest

from taskworks import task_backends
from taskworks.celery_worker import remote_control
from taskworks.celery_worker.remote_control import Canceller
from tests import tasks
from tests.stopping.runs import wait_until
from tests.waiting import wait_for


@pytest.mark.django_db(transaction=True)
def test_many_commands_have_one_thread() -> None:
    canceller = Canceller([task_backends["default"]])  # type: ignore[list-item]
    before = set(threading.enumerate())
    results = [tasks.noop.enqueue() for _ in range(20)]
    for result in results:
        canceller.cancel([result.id, "no id", None])
    assert len(set(threading.enumerate()) - before) == 1
    for result in results:
        wait_until(result, "cancelled")


@pytest.mark.any_database
def test_commands_that_wait_for_the_database_are_not_many(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Waiting:
        def __init__(self) -> None:
            self.cancelled: list[str] = []
            self.has_begun, self.go = threading.Event(), threading.Event()

        def cancel(self, id_: str) -> None:
            self.has_begun.set()
            self.go.wait(60)
            self.cancelled.append(id_)

    monkeypatch.setattr(remote_control, "MAX_WAITING", 2)
    backend = Waiting()
    canceller = Canceller([backend])  # type: ignore[list-item]
    canceller.cancel(["in hand"])
    assert backend.has_begun.wait(60)
    for id_ in ("first", "second", "third"):
        canceller.cancel([id_])
    assert "too many wait: ['third']" in caplog.text
    backend.go.set()
    wait_for(lambda: backend.cancelled == ["in hand", "first", "second"], "the others are")
