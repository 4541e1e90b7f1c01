"""A session that has locked the row of a run holds up that run, and no other."""

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest
from django.db import connection

from taskworks import TaskContext, TaskResult, task
from taskworks.execution import Attempt
from taskworks.models import TaskRun
from taskworks.store import store
from taskworks.worker.first_starts import FirstStarts
from tests import tasks
from tests.connections import held_elsewhere
from tests.stopping.runs import wait_until, working
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite locks no rows"),
]


def locking(result: TaskResult) -> Callable[[], object]:
    """As somebody does who cancels it in a transaction that goes on."""
    return lambda: list(TaskRun.objects.select_for_update().filter(id=result.id))


def state_of(result: TaskResult) -> str:
    return TaskRun.objects.get(id=result.id).state


def are_done(results: list[TaskResult]) -> bool:
    ids = [result.id for result in results]
    return TaskRun.objects.successful().filter(id__in=ids).count() == len(ids)


def test_the_end_of_a_locked_run_waits_and_others_do_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with working():
        locked = tasks.wait_for_file.enqueue(str(tmp_path / "gate"))
        wait_until(locked, "running")
        with held_elsewhere(locking(locked)):
            (tmp_path / "gate").touch()
            wait_for(lambda: str(locked.id) in caplog.text, "it is noticed")
            for _ in range(3):
                others = tasks.noop.enqueue_many([()] * 10)
                wait_for(lambda others=others: are_done(others), "the others are executed")
            assert state_of(locked) == "running"
        wait_until(locked, "successful")
    assert caplog.text.count("locked by other sessions") == 1
    assert TaskRun.objects.get(id=locked.id).attempts == 1


@task(takes_context=True)
def tell_at(context: TaskContext, gate: str, end: str) -> None:
    while not Path(gate).exists():
        time.sleep(0.01)
    context.set_progress(1)
    while not Path(end).exists():
        time.sleep(0.01)


def test_the_progress_of_a_locked_run_waits_and_others_do_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with working():
        locked = tell_at.enqueue(str(tmp_path / "gate"), str(tmp_path / "end"))
        wait_until(locked, "running")
        with held_elsewhere(locking(locked)):
            (tmp_path / "gate").touch()
            wait_for(lambda: str(locked.id) in caplog.text, "it is noticed")
            others = tasks.noop.enqueue_many([()] * 10)
            wait_for(lambda: are_done(others), "the others are executed")
        wait_for(lambda: TaskRun.objects.get(id=locked.id).progress == 1, "it is told")
        (tmp_path / "end").touch()
        wait_until(locked, "successful")


def test_the_start_of_a_locked_run_waits_and_others_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    once = tasks.wait_for_file.using(delivery="at_most_once")
    claimed, may_start = Event(), Event()
    with_start = FirstStarts.hold

    def hold(self: FirstStarts, attempts: list[Attempt]) -> None:
        if attempts:
            claimed.set()
            may_start.wait(60)
        with_start(self, attempts)

    monkeypatch.setattr(FirstStarts, "hold", hold)
    with working():
        locked = once.enqueue(str(tmp_path / "gate"))
        assert claimed.wait(60)
        with held_elsewhere(locking(locked)):
            may_start.set()
            wait_for(lambda: str(locked.id) in caplog.text, "it is noticed")
            others = tasks.noop.enqueue_many([()] * 10)
            wait_for(lambda: are_done(others), "the others are executed")
            assert state_of(locked) == "claimed"
        wait_until(locked, "running")
        (tmp_path / "gate").touch()
        assert wait_until(locked, "successful").attempts == 1


def test_a_worker_that_is_stopped_leaves_a_locked_run_to_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with working() as worker:
        locked = tasks.wait_for_file.enqueue(str(tmp_path / "gate"))
        other = tasks.wait_for_file.enqueue(str(tmp_path / "never"))
        wait_until(locked, "running")
        wait_until(other, "running")
        with held_elsewhere(locking(locked)):
            (tmp_path / "gate").touch()
            wait_for(lambda: str(locked.id) in caplog.text, "it is noticed")
            worker.stop()
            worker.stop()
            wait_for(worker.shutdown.over.is_set, "it has ended")
            assert state_of(other) == "ready"
        assert store().awaiting_rescue("default", timedelta()) == {("default", False)}
    (tmp_path / "never").touch()
