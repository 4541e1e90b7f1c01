"""A task that cannot be stopped costs its worker a new beginning, and nobody else anything."""

import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from taskworks import Task
from taskworks.models import TaskRun, Worker
from taskworks.worker.loop import Worker as Working
from tests import tasks
from tests.processes.conftest import WorkerProcess
from tests.stopping import shelf
from tests.stopping.runs import (
    IMPATIENT,
    UNHURRIED,
    error_of,
    finished,
    run_of,
    state_of,
    wait_until,
    working,
)
from tests.stopping.settings import TASKWORKS
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

StartWorker = Callable[..., WorkerProcess]
GRACE = TASKWORKS["INTERRUPT_GRACE"]
STUCK = [shelf.sleep_for_ever, shelf.block_the_loop, shelf.swallow_cancellation]


def living_worker() -> Worker:
    return wait_for(Worker.objects.living().first, "a worker has registered")


@pytest.mark.parametrize("task", STUCK)
def test_its_run_fails_in_time_and_the_worker_becomes_whole(
    start_worker: StartWorker, task: Task
) -> None:
    worker = start_worker(**IMPATIENT).wait_until_up()
    first = living_worker()
    result = task.using(timeout=1).enqueue()
    wait_until(result, "running")
    others = [shelf.sleep_briefly.enqueue(0.3) for _ in range(6)]
    others += [shelf.await_briefly.enqueue(0.3) for _ in range(6)]
    run = wait_until(result, "failed")
    assert error_of(run) == "TaskTimeout"
    taken = run.finished_at - run.started_at
    print(f"failed {taken.total_seconds() - 1 - GRACE:.2f} s later than it was to")
    assert taken >= timedelta(seconds=1)  # and not when its task ends, in an hour
    others += [shelf.sleep_briefly.enqueue(0), shelf.await_briefly.enqueue(0)]
    assert {run.state for run in finished(*others)} == {"successful"}
    second = living_worker()
    assert (second.pid, second.id == first.id) == (worker.process.pid, False)
    assert Worker.objects.count() == 1
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0


def test_a_retry_is_not_begun_before_the_first_attempt_is_gone(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    signs = tmp_path / "signs of life"
    start_worker(**IMPATIENT).wait_until_up()
    result = shelf.survive_once.using(timeout=1, max_attempts=2, backoff=0).enqueue(str(signs))
    wait_until(result, "running")
    start_worker("--interval", "0.01", **IMPATIENT).wait_until_up()
    run = wait_until(result, "successful")
    assert [entry["exception_class_path"] for entry in run.errors] == [
        "taskworks.exceptions.TaskTimeout"
    ]
    assert run.attempts == 2
    whole_lines = signs.read_text().split("\n")[:-1]
    assert float(whole_lines[-1]) < float(run.return_value)


def test_a_backoff_that_does_not_end_is_not_asked_again(start_worker: StartWorker) -> None:
    worker = start_worker(**IMPATIENT).wait_until_up()
    result = shelf.fail_and_think_for_ever.using(timeout=0.2).enqueue()
    run = wait_until(result, "scheduled")
    assert (error_of(run), run.attempts, run.failures) == ("TaskTimeout", 1, 1)
    wait_until(shelf.sleep_briefly.enqueue(0), "successful")
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0


def test_a_signal_meanwhile_ends_the_worker(start_worker: StartWorker, tmp_path: Path) -> None:
    worker = start_worker(**UNHURRIED).wait_until_up()
    other = tasks.wait_for_file.enqueue(str(tmp_path / "go"))
    wait_until(other, "running")
    stuck = shelf.sleep_for_ever.using(timeout=0.1).enqueue()
    wait_until(stuck, "failed")
    worker.send(signal.SIGTERM)
    worker.wait_for_line("Shutting down: ")
    (tmp_path / "go").touch()
    assert worker.wait() == 0
    assert state_of(other) == "successful"
    assert not Worker.objects.exists()


@pytest.mark.any_database
def test_a_worker_with_max_tasks_ends(start_worker: StartWorker) -> None:
    worker = start_worker("--max-tasks", "5", **IMPATIENT).wait_until_up()
    wait_until(shelf.sleep_for_ever.using(timeout=0.1).enqueue(), "failed")
    assert worker.wait() == 0
    assert not Worker.objects.exists()


@pytest.mark.any_database
def test_waiting_for_it_costs_next_to_nothing(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """The worker rests whenever it has looked: a hundred times that, however fast the machine."""
    settings.TASKWORKS = {**settings.TASKWORKS, "INTERRUPT_GRACE": 600}
    tasks.gate.clear()
    turns: list[float] = []
    turn = Working._turn
    monkeypatch.setattr(Working, "_turn", lambda self: turns.append(time.monotonic()) or turn(self))
    with working():
        result = tasks.wait_for_gate.using(timeout=0.1).enqueue()
        wait_until(result, "running")
        first = len(turns)
        wait_for(lambda: len(turns) > first + 100, "it has turned a hundred times")
        tasks.gate.set()
        wait_until(result, "failed")
    assert turns[first + 100] - turns[first] > 0.4


@pytest.mark.any_database
@pytest.mark.usefixtures("impatient")
def test_a_process_is_killed_rather_than_given_up() -> None:
    """Even where the patience with threads ends before the child is killed."""
    with working(task_processes=1) as worker:
        result = shelf.hold_the_interpreter.using(executor="process", timeout=0.2).enqueue()
        assert error_of(wait_until(result, "failed")) == "TaskTimeout"
        assert not worker.wants_restart
        wait_until(shelf.pid.using(executor="process").enqueue(), "successful")
    assert TaskRun.objects.count() == 2
    assert run_of(result).attempts == 1
