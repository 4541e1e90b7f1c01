"""The process pool: children that die, that cannot start, that are replaced, and what they say."""

import os
import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from taskworks import TaskResult
from taskworks.models import TaskRun
from taskworks.store import store
from taskworks.worker.pools import processes
from tests import tasks
from tests.alive import is_alive
from tests.processes.conftest import WorkerProcess
from tests.stopping import shelf
from tests.stopping.runs import (
    UNHURRIED,
    error_of,
    finished,
    run_of,
    wait_for_file,
    wait_until,
    working,
)
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

StartWorker = Callable[..., WorkerProcess]
PID = shelf.pid.using(executor="process")


def pid_of(result: TaskResult) -> int:
    return wait_until(result, "successful").return_value


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("how", "words"),
    [("segfault", "SIGSEGV"), ("exit", "exit code 7"), ("kill", "SIGKILL")],
)
def test_a_child_that_dies_fails_its_run_and_is_replaced(how: str, words: str) -> None:
    with working(task_processes=1):
        run = wait_until(shelf.die.using(executor="process").enqueue(how), "failed")
        assert error_of(run) == "TaskCrashed"
        assert words in run.errors[0]["traceback"]
        assert pid_of(PID.enqueue()) != os.getpid()


@pytest.mark.any_database
@pytest.mark.parametrize("task", [shelf.die_and_leave_a_program, shelf.die_and_leave_a_fork])
def test_a_child_s_end_is_seen_whatever_it_leaves_behind(task: object) -> None:
    with working(task_processes=1):
        run = wait_until(task.using(executor="process").enqueue(), "failed")
        assert error_of(run) == "TaskCrashed"


@pytest.mark.any_database
def test_a_child_that_is_killed_from_outside_is_a_crash() -> None:
    with working(task_processes=1):
        pid = pid_of(PID.enqueue())
        result = shelf.sleep_for_ever.using(executor="process", max_attempts=2, backoff=0)
        result = result.enqueue()
        wait_until(result, "running")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: run_of(result).attempts == 2, "it is tried again")
        assert error_of(run_of(result)) == "TaskCrashed"
        result.cancel()
        wait_until(result, "cancelled")


def test_a_child_that_dies_between_two_runs_fails_neither() -> None:
    with working(task_processes=1):
        for _ in range(2):
            pid = pid_of(PID.enqueue())
            os.kill(pid, signal.SIGKILL)
            after = PID.enqueue()
            assert pid_of(after) != pid
            assert (run_of(after).attempts, run_of(after).errors) == (1, [])


def test_a_child_that_cannot_start_fails_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with working(task_processes=1):
        with monkeypatch.context() as broken:
            broken.setenv("DJANGO_SETTINGS_MODULE", "tests.nowhere")
            result = PID.enqueue()
            run = wait_until(result, "scheduled")
            assert (run.attempts, run.worker_ids, run.errors) == (0, [], [])
        TaskRun.objects.filter(id=result.id).update(available_at=run.enqueued_at)
        wait_until(result, "successful")


@pytest.mark.any_database
def test_a_run_that_was_claimed_in_time_does_not_expire_while_a_child_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    go, claim = tmp_path / "go", type(store()).claim
    monkeypatch.setattr(processes, "BOOT", f"{wait_for_file(go)}\n{processes.BOOT}")

    def claim_in_time(*args: Any, **kwargs: Any) -> list[TaskRun]:
        runs = claim(*args, **kwargs)
        for run in runs:
            run.expires_at = run.claimed_at + timedelta(seconds=2)
            run.save(update_fields=["expires_at"])
        return runs

    monkeypatch.setattr(type(store()), "claim", claim_in_time)
    with working(task_processes=1):
        result = PID.using(expires=3600).enqueue()
        expires_at = wait_for(lambda: end_of_claimed(result), "it is claimed, and about to expire")
        wait_for(lambda: store().read_clock() > expires_at, "it would have expired")
        go.touch()
        run = wait_until(result, "successful", "failed")
        assert (run.state, run.attempts, run.errors) == ("successful", 1, [])
        assert run.finished_at > run.expires_at


def end_of_claimed(result: TaskResult) -> datetime | None:
    """When it expires, once that was written for its claim."""
    run = run_of(result)
    is_soon = run.claimed_at and run.expires_at - run.claimed_at < timedelta(minutes=1)
    return run.expires_at if is_soon else None


@pytest.mark.any_database
def test_a_process_that_cannot_be_made_fails_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with working(task_processes=1):
        with monkeypatch.context() as broken:
            broken.setattr("taskworks.worker.pools.processes.sys.executable", "/nowhere/python")
            result = PID.enqueue()
            assert wait_until(result, "scheduled").attempts == 0
        TaskRun.objects.filter(id=result.id).update(available_at=run_of(result).enqueued_at)
        wait_until(result, "successful")


@pytest.mark.any_database
def test_a_child_is_replaced_after_so_many_runs(start_worker: StartWorker) -> None:
    results = [PID.enqueue() for _ in range(5)]
    start_worker("--batch", "--task-processes", "1", "--max-tasks-per-child", "2").wait()
    pids = [pid_of(result) for result in results]
    assert len(set(pids)) == 3
    assert (pids[0], pids[2]) == (pids[1], pids[3])
    assert not any(is_alive(pid) for pid in pids)


@pytest.mark.any_database
def test_a_child_that_has_grown_is_replaced(start_worker: StartWorker) -> None:
    small, big, after = [
        shelf.grow.using(executor="process").enqueue(megabytes) for megabytes in (0, 300, 0)
    ]
    start_worker("--batch", "--task-processes", "1", "--max-memory-per-child", "250").wait()
    assert pid_of(small) == pid_of(big) != pid_of(after)


@pytest.mark.any_database
@pytest.mark.parametrize("task", [shelf.sleep_for_ever, shelf.hold_the_interpreter])
def test_a_child_does_not_outlive_its_worker(start_worker: StartWorker, task: object) -> None:
    worker = start_worker("--task-processes", "1").wait_until_up()
    pid = pid_of(PID.enqueue())
    wait_until(task.using(executor="process").enqueue(), "running")
    assert is_alive(pid)
    worker.send(signal.SIGKILL)
    worker.wait()
    wait_for(lambda: not is_alive(pid), "the child is gone")


@pytest.mark.any_database
def test_ctrl_c_leaves_what_a_child_executes_alone(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker("--task-processes", "1", **UNHURRIED).wait_until_up()
    result = tasks.wait_for_file.using(executor="process").enqueue(str(tmp_path / "go"))
    wait_until(result, "running")
    os.killpg(worker.process.pid, signal.SIGINT)
    worker.wait_for_line("Shutting down: ")
    (tmp_path / "go").touch()
    assert worker.wait() == 0
    run = run_of(result)
    assert (run.state, run.return_value, run.attempts) == ("successful", "found", 1)


@pytest.mark.any_database
def test_what_a_child_s_task_prints_is_seen(start_worker: StartWorker) -> None:
    result = shelf.shout.using(executor="process").enqueue("here I am\n")
    worker = start_worker("--batch").wait_until_up()
    assert "here I am" in worker.output()
    assert run_of(result).state == "successful"


def test_a_child_s_task_enqueues_others() -> None:
    with working():
        result = shelf.enqueue_more.using(executor="process").enqueue(3)
        ids = wait_until(result, "successful").return_value
        wait_for(lambda: TaskRun.objects.successful().count() == 4, "they run too")
    assert {str(run.id) for run in TaskRun.objects.all()} == {result.id, *ids}


def test_a_child_s_task_tells_and_is_told() -> None:
    with working():
        result = shelf.tell_everything.using(executor="process").enqueue()
        wait_until(result, "successful")
    result.refresh()
    assert result.return_value == {"attempt": 1, "saved": {"seen": True}}
    assert (result.target, result.progress, result.metadata) == (10, 4, {"seen": True})
    assert [message.text for message in result.messages] == ["half-way, nearly"]


def test_a_child_that_tells_much_and_is_told_much_blocks_nobody() -> None:
    with working(task_processes=2):
        telling = [shelf.tell_much.using(executor="process").enqueue(10) for _ in range(2)]
        results = [*telling, *(shelf.sleep_briefly.enqueue(0) for _ in range(10))]
        assert {run.state for run in finished(*results)} == {"successful"}
        big = shelf.sleep_briefly.using(executor="process", metadata={"big": "x" * 900_000})
        assert wait_until(big.enqueue(0), *("successful", "failed")).state == "successful"


@pytest.mark.any_database
def test_a_cancellation_while_a_child_starts_keeps_nobody_waiting() -> None:
    """Not even when what the child is to be told does not fit into the pipe."""
    with working(task_processes=1):
        big = shelf.spin.using(executor="process", metadata={"big": "x" * 900_000}).enqueue()
        wait_until(big, "claimed", "running")
        big.cancel()
        others = [shelf.sleep_briefly.enqueue(0) for _ in range(5)]
        assert {run.state for run in finished(*others)} == {"successful"}
        wait_until(big, "cancelled")
