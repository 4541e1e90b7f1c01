"""Real workers that are killed: by a signal, and by what they execute."""

import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection

from taskworks import TaskResult, control
from taskworks.models import TaskRun, Worker
from taskworks.store import store
from tests import tasks
from tests.behavior import deadly, ledger
from tests.processes.conftest import WATCHFUL, WorkerProcess, give_up
from tests.waiting import wait_for

StartWorker = Callable[..., WorkerProcess]


def run_of(result: TaskResult) -> TaskRun:
    return TaskRun.objects.get(id=result.id)


def wait_for_state(result: TaskResult, state: str, timeout: float = 60) -> TaskRun:
    wait_for(lambda: run_of(result).state == state, f"{result.id} is {state}", timeout)
    return run_of(result)


def kind(entry: dict[str, str]) -> str:
    return entry["exception_class_path"].rpartition(".")[2]


def kill(worker: WorkerProcess) -> None:
    worker.send(signal.SIGKILL)
    assert worker.wait() == -signal.SIGKILL


@pytest.mark.parametrize("how", ["segfault", "exit"])
def test_a_task_that_kills_its_worker_kills_one_and_becomes_poison(
    start_worker: StartWorker, tmp_path: Path, how: str
) -> None:
    """Its neighbours are suspected with it, and none of them is blamed."""
    neighbours = [
        task.enqueue(str(tmp_path / "go"))
        for task in (tasks.wait_for_file, tasks.wait_for_file_async)
    ]
    first = start_worker("--threads", "2").wait_until_up()
    for neighbour in neighbours:
        wait_for_state(neighbour, "running")
    killer = deadly.die.enqueue(how)
    assert first.wait() != 0
    (tmp_path / "go").touch()
    second = start_worker("--threads", "2").wait_until_up()
    run = wait_for_state(killer, "failed")
    assert (run.crashes, run.failures) == (3, 0)
    assert [kind(entry) for entry in run.errors] == ["TaskCrashed", "TaskCrashed", "TaskPoisoned"]
    for neighbour in neighbours:
        innocent = wait_for_state(neighbour, "successful")
        assert (innocent.crashes, innocent.attempts, innocent.errors) == (0, 2, [])
    second.send(signal.SIGTERM)
    assert second.wait() == 0


def test_a_task_that_kills_every_second_time_is_done_in_the_end(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    result = deadly.die_at_every_second_time.enqueue(str(tmp_path / "ledger"))
    first = start_worker().wait_until_up()
    assert first.wait() == 7
    start_worker()
    run = wait_for_state(result, "successful")
    assert (run.return_value, run.crashes, run.errors) == (2, 0, [])


def test_a_worker_that_is_killed_while_it_executes_suspects_blames_none(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    result = tasks.wait_for_file.enqueue(str(tmp_path / "go"))
    for deaths in range(4):
        worker = start_worker().wait_until_up()
        wait_for(lambda so_far=deaths: run_of(result).attempts == so_far + 1, "it runs again", 60)
        assert run_of(result).executor == ("alone" if deaths else "thread")
        kill(worker)
    (tmp_path / "go").touch()
    start_worker()
    run = wait_for_state(result, "successful")
    assert (run.attempts, run.crashes, run.errors) == (5, 0, [])


def test_at_most_once_is_lost_with_its_worker(start_worker: StartWorker, tmp_path: Path) -> None:
    noted = tmp_path / "ledger"
    result = deadly.note_and_wait.enqueue(str(noted), str(tmp_path / "go"))
    killed = start_worker().wait_until_up()
    wait_for(lambda: noted.exists() and noted.read_text(), "it has begun")
    kill(killed)
    (tmp_path / "go").touch()
    start_worker()
    run = wait_for_state(result, "failed")
    assert ([kind(entry) for entry in run.errors], run.attempts) == (["TaskLost"], 1)
    assert noted.read_text() == "x"


def test_kills_lose_nothing_of_what_is_transactional(start_worker: StartWorker) -> None:
    results = [ledger.enter.enqueue() for _ in range(200)]
    for kills in range(5):
        worker = start_worker().wait_until_up()
        wanted = 30 * kills + 10
        wait_for(
            lambda wanted=wanted: TaskRun.objects.successful().count() >= wanted, "it works", 60
        )
        kill(worker)
    start_worker()
    wait_for(lambda: TaskRun.objects.successful().count() == len(results), "all are done", 90)
    names = [name.split()[0] for name in ledger.entered()]
    assert sorted(names) == sorted(result.id for result in results)


def test_a_zombie_cannot_commit(start_worker: StartWorker, tmp_path: Path) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("A frozen process keeps the only lock of SQLite.")
    result = ledger.enter_and_wait.enqueue(str(tmp_path / "go"))
    zombie = start_worker("--worker-id", "zombie", **WATCHFUL).wait_until_up()
    wait_for((tmp_path / "go.1").exists, "it is in the middle of its transaction")
    zombie.freeze()
    give_up("zombie")
    start_worker("--worker-id", "second", **WATCHFUL).wait_until_up()
    wait_for(lambda: run_of(result).worker_ids == ["zombie", "second"], "another has it")
    wait_for((tmp_path / "go.2").exists, "the other is in the middle of its own")
    (tmp_path / "go").touch()
    zombie.send(signal.SIGCONT)
    wait_for_state(result, "successful")
    wait_for(lambda: Worker.objects.living().filter(label="zombie"), "it has registered anew")
    zombie.send(signal.SIGTERM)
    assert "its outcome is lost" in zombie.output()
    assert ledger.entered() == [f"{result.id} 2"]


def test_a_bulk_action_whose_worker_is_killed_goes_on_and_does_nothing_twice(
    start_worker: StartWorker,
) -> None:
    now = store().read_clock()
    long_ago = now - timedelta(minutes=5)
    TaskRun.objects.bulk_create(
        (
            TaskRun(
                backend="default",
                queue_name="other",
                task_path="tests.tasks.noop",
                state="failed",
                enqueued_at=long_ago,
                available_at=long_ago,
                finished_at=long_ago,
            )
            for _ in range(2500)
        ),
        batch_size=500,
    )
    runs = TaskRun.objects.filter(queue_name="other")
    action = control.act_in_background("retry", queue="other")
    first = start_worker("--queues", "default").wait_until_up()
    wait_for(lambda: runs.filter(state="ready").count() >= 500, "some are retried")
    kill(first)
    # Those that were retried fail again, which nobody wants to be undone.
    again = runs.filter(state="ready").update(
        state="failed", attempts=1, finished_at=store().read_clock()
    )
    start_worker("--queues", "default")
    wait_for_state(action, "successful")
    assert runs.filter(state="failed", attempts=1).count() == again
    assert runs.filter(state="ready", attempts=0).count() == 2500 - again
