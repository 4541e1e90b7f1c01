"""How a process ends in which a task cannot be stopped."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import billiard
import pytest
from celery.concurrency.thread import TaskPool

from taskworks.backends.celery.messenger import messenger
from taskworks.celery_worker import leaving
from taskworks.wakeup import sender
from tests.waiting import wait_for

pytestmark = pytest.mark.any_database


class Job:
    """What a thread of Celery's pool executes until it is told to go."""

    def __init__(self, pool: TaskPool) -> None:
        self.has_begun, self.go, self.has_ended = (threading.Event() for _ in range(3))
        pool.apply_async(self._work, callback=lambda returned: None)

    def _work(self) -> None:
        self.has_begun.set()
        self.go.wait(60)
        self.has_ended.set()


def test_celerys_own_task_is_waited_for_although_a_run_that_was_stuck_returns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    glances: list[float] = []
    has_left = threading.Event()

    def sleep(seconds: float) -> None:
        glances.append(seconds)
        time.sleep(0.001)

    def glance_again() -> None:
        before = len(glances)
        wait_for(lambda: len(glances) > before + 2 or has_left.is_set(), "it looks again")

    monkeypatch.setattr(leaving, "time", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(leaving, "leave", has_left.set)
    pool = TaskPool(limit=2)
    stuck, own, waiting = (Job(pool) for _ in range(3))
    worker = SimpleNamespace(pool=pool, hub=None, on_stopped=lambda: None)
    with ThreadPoolExecutor(1) as main_thread:
        for job in (stuck, own):
            assert job.has_begun.wait(60)
        leaves = main_thread.submit(
            leaving.leave_after_celery, worker, lambda: int(not stuck.has_ended.is_set())
        )
        glance_again()
        stuck.go.set()
        assert stuck.has_ended.wait(60)
        glance_again()
        assert not has_left.is_set()
        own.go.set()
        leaves.result(60)
    assert own.has_ended.is_set()
    assert has_left.is_set()
    assert not waiting.has_begun.is_set()  # its message goes back to the broker


def test_what_the_process_has_is_left_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tickets and wake-ups are sent, and the process of ``-B`` ends, whatever fails before."""
    done: list[Any] = []

    def fail() -> None:
        raise OSError

    monkeypatch.setattr(leaving.instruments, "flush", fail)
    monkeypatch.setattr(messenger, "end", lambda: done.append("tickets"))
    monkeypatch.setattr(sender, "flush", lambda: done.append("wake-ups"))
    monkeypatch.setattr(leaving.os, "_exit", done.append)
    child = billiard.Process(target=time.sleep, args=(600,))
    child.start()
    leaving.leave()
    child.join(60)
    assert child.exitcode == -signal.SIGTERM
    assert done == ["tickets", "wake-ups", 1]
