"""A worker that was given up: it claims nothing, stops what it executes, and registers anew."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, transaction

from taskworks import Task, TaskResult, task_backends
from taskworks.conf import conf
from taskworks.models import TaskRun
from taskworks.models import Worker as WorkerRow
from taskworks.store import Store, store
from taskworks.worker import Options, Queues, Sizes, Worker
from tests import tasks
from tests.alive import is_alive
from tests.behavior import deadly
from tests.connections import begin_elsewhere
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
Outage = Callable[[bool], None]


@contextmanager
def working() -> Iterator[Worker]:
    options = Options(queues=Queues(), interval=0.02, sizes=Sizes(task_processes=1), label="same")
    worker = Worker(task_backends["default"], options)
    running = begin_elsewhere(worker.run)
    try:
        yield worker
    finally:
        worker.stop()
        worker.stop()
        running.result(timeout=60)


def run_of(result: TaskResult) -> TaskRun:
    return TaskRun.objects.get(id=result.id)


def wait_until(result: TaskResult, state: str) -> TaskRun:
    wait_for(lambda: run_of(result).state == state, f"{result.id} is {state}")
    return run_of(result)


def give_up() -> None:
    WorkerRow.objects.update(given_up_at=store().read_clock())


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Outage:
    """``away(True)``: from now on no statement of the store goes through."""
    is_away: list[bool] = [False]
    for verb in ("heartbeat", "ready_queues", "claim", "finish", "start", "promote", "register"):
        monkeypatch.setattr(type(store()), verb, _unless_away(verb, is_away))

    def away(now: bool) -> None:
        is_away[0] = now

    return away


def _unless_away(verb: str, is_away: list[bool]) -> Callable[..., Any]:
    whole = getattr(type(store()), verb)

    def call(self: Store, *args: Any, **kwargs: Any) -> Any:
        if is_away[0]:
            raise OperationalError("the database is away")
        return whole(self, *args, **kwargs)

    return call


@pytest.mark.parametrize("task", [tasks.wait_for_file, tasks.wait_for_file_async])
def test_what_it_executes_is_stopped_and_fenced(
    tmp_path: Path, task: Task, caplog: pytest.LogCaptureFixture
) -> None:
    result = task.enqueue(str(tmp_path / "go"))
    with working() as worker:
        wait_until(result, "running")
        before = worker.id
        with transaction.atomic():
            give_up()
            assert store().rescue(10)
        wait_for(lambda: run_of(result).attempts == 2, "it is executed again, alone")
        assert worker.id != before
        assert f"Worker {worker.label} was given up for dead: it claims nothing" in caplog.text
        assert "was given up for dead; it goes on under a new id" in caplog.text
        assert f"Run {result.id} of {task.module_path}: its outcome is lost" in caplog.text
        (tmp_path / "go").touch()
        run = wait_until(result, "successful")
    assert (run.executor, run.worker_ids, run.errors) == ("alone", ["same", "same"], [])


@pytest.mark.thorough_on_servers
def test_its_child_processes_are_given_up(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    result = deadly.write_pid_and_hold_on.using(executor="process").enqueue(str(pid))
    with working() as worker:
        wait_for(lambda: pid.exists() and pid.read_text(), "it has begun")
        child, before = int(pid.read_text()), worker.id
        wait_until(result, "running")
        TaskRun.objects.update(backend="other")  # so that nobody executes it again
        give_up()
        wait_for(lambda: not is_alive(child), "its child is gone")
        wait_for(lambda: worker.id != before, "it has another id")
        assert wait_until(tasks.add.enqueue(1, 2), "successful")
    assert child != os.getpid()


def test_it_claims_nothing_while_it_still_executes_what_it_had() -> None:
    tasks.gate.clear()
    running = tasks.wait_for_gate.enqueue()  # a lock keeps its thread from hearing anything
    with working() as worker:
        wait_until(running, "running")
        before = worker.id
        give_up()
        wait_for(lambda: worker.id != before, "it knows")
        later = tasks.add.enqueue(1, 2)
        TaskRun.objects.filter(id=running.id).update(backend="other")
        wait_for(lambda: store().rescue(10), "its run is rescued")
        assert not WorkerRow.objects.living().exists()
        assert run_of(later).state == "ready"
        tasks.gate.set()
        assert wait_until(later, "successful")


def test_a_database_that_is_away_for_long_stops_nobody(tmp_path: Path, away: Outage) -> None:
    """An outage is nobody's death: who had something in hand has it still."""
    result = tasks.wait_for_file.enqueue(str(tmp_path / "go"))
    with working() as worker:
        wait_until(result, "running")
        before = worker.id
        away(True)
        silence = worker._threads.heartbeat._last_beat + 2 * conf().worker_timeout
        wait_for(lambda: time.monotonic() > silence, "it is silent for longer than it may")
        (tmp_path / "go").touch()
        away(False)
        run = wait_until(result, "successful")
        assert worker.id == before
    assert (run.executor, run.attempts, run.worker_ids) == ("thread", 1, ["same"])


def test_a_database_that_is_away_for_a_moment_stops_nobody(tmp_path: Path, away: Outage) -> None:
    result = tasks.wait_for_file.enqueue(str(tmp_path / "go"))
    with working() as worker:
        wait_until(result, "running")
        before, failed = worker.id, tasks.add.enqueue(1, 2)
        away(True)
        wait_for(lambda: worker._outage.is_on, "it has noticed")
        away(False)
        wait_until(failed, "successful")
        (tmp_path / "go").touch()
        assert wait_until(result, "successful").attempts == 1
        assert worker.id == before
