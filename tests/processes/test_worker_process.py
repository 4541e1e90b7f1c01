"""A worker as a process: what it does with signals, crashes and lost connections."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from django.db import OperationalError, connection, transaction

from taskworks import Task, TaskResult, TaskResultStatus
from taskworks.models import TaskRun, Worker
from tests import tasks
from tests.behavior import deadly
from tests.processes.conftest import WATCHFUL, WorkerProcess, give_up
from tests.waiting import wait_for

StartWorker = Callable[..., WorkerProcess]
POLITE = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT]
PATIENT = {"DJANGO_SETTINGS_MODULE": "tests.processes.patient"}
UNHURRIED = {"DJANGO_SETTINGS_MODULE": "tests.stopping.unhurried"}


def run_of(result: TaskResult) -> TaskRun:
    return TaskRun.objects.get(id=result.id)


def wait_for_state(result: TaskResult, state: str) -> TaskRun:
    wait_for(lambda: run_of(result).state == state, f"{result.id} is {state}")
    return run_of(result)


def in_thread_and_coroutine(gate: Path) -> list[TaskResult]:
    """Two runs that wait for the gate, one of each kind."""
    waiting = (tasks.wait_for_file, tasks.wait_for_file_async)
    return [task.enqueue(str(gate)) for task in waiting]


def test_a_batch_prints_a_line_a_run_and_exits_with_0(start_worker: StartWorker) -> None:
    results = [tasks.add.enqueue(1, 2), tasks.add_async.enqueue(3, 4), tasks.fail.enqueue()]
    worker = start_worker("--batch").wait_until_up()
    lines = worker.output().splitlines()
    assert worker.wait() == 0
    for result, state in zip(results, ["successful", "successful", "failed"], strict=True):
        assert any(f" {state} {result.task.module_path} {result.id} " in line for line in lines)
    assert lines[-1] == "The worker has stopped."


@pytest.mark.parametrize("number", POLITE)
def test_an_idle_worker_stops_at_once(start_worker: StartWorker, number: signal.Signals) -> None:
    worker = start_worker("--interval", "600").wait_until_up()
    wait_for(Worker.objects.living().exists, "the worker has registered")
    worker.send(number)
    assert worker.wait() == 0  # and not in ten minutes
    assert not Worker.objects.exists()


@pytest.mark.parametrize("number", POLITE)
def test_the_first_signal_lets_runs_finish_and_takes_no_more(
    start_worker: StartWorker, tmp_path: Path, number: signal.Signals
) -> None:
    results = in_thread_and_coroutine(tmp_path / "go")
    worker = start_worker("--worker-id", "the-label", **UNHURRIED).wait_until_up()
    for result in results:
        assert wait_for_state(result, "running").worker_ids == ["the-label"]
    worker.send(number)
    worker.wait_for_line("Shutting down: waiting for 2 running tasks")
    later = tasks.noop.enqueue()
    (tmp_path / "go").touch()
    assert worker.wait() == 0
    for result in results:
        result.refresh()
        assert (result.status, result.return_value) == (TaskResultStatus.SUCCESSFUL, "found")
    assert run_of(later).state == "ready"


def test_the_second_signal_releases_what_runs_without_counting_it(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    results = in_thread_and_coroutine(tmp_path / "never")
    worker = start_worker(**UNHURRIED).wait_until_up()
    for result in results:
        wait_for_state(result, "running")
    worker.send(signal.SIGINT)
    worker.wait_for_line("Shutting down: waiting for 2 running tasks")
    worker.send(signal.SIGINT)
    assert worker.wait() == 0
    for run in map(run_of, results):
        assert (run.state, run.attempts, run.worker_ids, run.errors) == ("ready", 0, [], [])
        assert run.started_at is None
    (tmp_path / "never").touch()
    start_worker("--batch").wait()
    assert [wait_for_state(result, "successful").attempts for result in results] == [1, 1]


def test_signals_in_a_storm_are_one_release(start_worker: StartWorker, tmp_path: Path) -> None:
    result = tasks.wait_for_file.enqueue(str(tmp_path / "never"))
    worker = start_worker().wait_until_up()
    wait_for_state(result, "running")
    for number in [*POLITE, *POLITE]:
        worker.send(number)
    assert "Traceback" not in worker.output()
    assert worker.wait() == 0
    assert run_of(result).state == "ready"


def test_the_runs_of_a_killed_worker_are_executed_by_another(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    runs = [task.enqueue(str(tmp_path / "go")) for task in (tasks.wait_for_file,) * 2]
    killed = start_worker("--worker-id", "killed").wait_until_up()
    for result in runs:
        wait_for_state(result, "running")
    killed.send(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    (tmp_path / "go").touch()
    start_worker("--worker-id", "second")
    for result in runs:
        run = wait_for_state(result, "successful")
        assert (run.worker_ids, run.attempts, run.errors) == (["killed", "second"], 2, [])


def test_a_worker_that_wakes_after_its_rescue_changes_nothing(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    result = tasks.wait_for_file.enqueue(str(tmp_path / "go"))
    zombie = start_worker("--worker-id", "zombie", **WATCHFUL).wait_until_up()
    wait_for_state(result, "running")
    zombie.freeze()
    give_up("zombie")
    start_worker("--worker-id", "second", **WATCHFUL).wait_until_up()
    wait_for(
        lambda: run_of(result).worker_ids == ["zombie", "second"], "the second one has the run"
    )
    zombie.send(signal.SIGCONT)
    wait_for(lambda: Worker.objects.living().filter(label="zombie"), "it is registered anew")
    (tmp_path / "go").touch()
    run = wait_for_state(result, "successful")
    zombie.send(signal.SIGTERM)
    assert f"Run {result.id} of tests.tasks.wait_for_file: its outcome is lost" in zombie.output()
    assert zombie.wait() == 0
    run.refresh_from_db()
    assert (run.state, run.worker_ids, run.attempts) == ("successful", ["zombie", "second"], 2)


def test_three_workers_execute_each_run_once(start_worker: StartWorker, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    for number in range(30):
        tasks.note.enqueue(str(ledger), str(number))
    workers = [start_worker("--batch", **PATIENT) for _ in range(3)]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    assert sorted(ledger.read_text().split(), key=int) == [str(number) for number in range(30)]
    assert {run.attempts for run in TaskRun.objects.successful()} == {1}
    assert TaskRun.objects.successful().count() == 30


def test_connections_that_died_are_replaced(start_worker: StartWorker, tmp_path: Path) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no connections that die.")
    worker = start_worker().wait_until_up()
    before = tasks.count_runs.enqueue()
    wait_for_state(before, "successful")
    running = tasks.wait_for_file.enqueue(str(tmp_path / "go"))
    wait_for_state(running, "running")
    for _ in range(3):
        kill_other_connections()
        wait_for_state(tasks.count_runs.enqueue(), "successful")
    (tmp_path / "go").touch()
    assert wait_for_state(running, "successful").attempts == 1
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0


def kill_other_connections() -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        else:
            cursor.execute(
                "SELECT id FROM information_schema.processlist "
                "WHERE db = database() AND id <> connection_id()"
            )
            for (id_,) in cursor.fetchall():
                with suppress(OperationalError):  # it has just gone by itself
                    cursor.execute("KILL %s", [id_])


def test_changed_code_restarts_a_reloading_worker(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    settings = tmp_path / "reloading_settings.py"
    settings.write_text("from tests.settings import *\n")
    start_worker(
        "--reload", DJANGO_SETTINGS_MODULE="reloading_settings", PYTHONPATH=str(tmp_path)
    ).wait_until_up()
    first = Worker.objects.get()

    def restarted() -> bool:
        # Again and again: the reloader notices only what changes after its first look.
        changed = tmp_path / "changed"
        changed.write_text(f"from tests.settings import *\nchanged = {time.time()}\n")
        changed.replace(settings)
        return Worker.objects.exclude(id=first.id).exists()

    wait_for(restarted, "another worker has registered")
    assert not Worker.objects.filter(id=first.id).exists()
    assert wait_for_state(tasks.noop.enqueue(), "successful")


def test_a_reloading_worker_says_everything_once(
    start_worker: StartWorker,
) -> None:
    worker = start_worker("--reload", "--queues", "mial")
    worker.wait_for_line("Warning: the queue 'mial' is not in")
    assert worker.process.stdout.readline().startswith("Worker ")
    worker.send(signal.SIGTERM)
    assert worker.output() == "Shutting down: no task is running.\nThe worker has stopped.\n"


@pytest.mark.parametrize("number", POLITE)
def test_a_reloading_worker_stops_as_politely(
    start_worker: StartWorker, tmp_path: Path, number: signal.Signals
) -> None:
    result = tasks.wait_for_file.enqueue(str(tmp_path / "go"))
    worker = start_worker("--reload", **UNHURRIED).wait_until_up()
    wait_for_state(result, "running")
    os.killpg(worker.process.pid, number)
    worker.wait_for_line("Shutting down: waiting for 1 running task")
    (tmp_path / "go").touch()
    assert worker.wait() == 0
    assert run_of(result).state == "successful"
    assert not Worker.objects.exists()


@pytest.mark.parametrize(
    "task",
    [
        deadly.fork_and_come_back,
        deadly.fork_and_come_back_async,
        deadly.fork_and_come_back.using(executor="process"),
    ],
    ids=["thread", "coroutine", "process"],
)
def test_the_child_of_a_task_that_forks_executes_nothing_else(
    start_worker: StartWorker, tmp_path: Path, task: Task
) -> None:
    """It has all that its parent has at hand, the next runs too; its end is its own."""
    worker = start_worker("--threads", "1").wait_until_up()
    for how, code in (("returns", 0), ("exits", 3), ("raises", 1)):
        for result in tasks.noop.enqueue_many([()] * 100):  # so that it claims ahead
            wait_for_state(result, "successful")
        with transaction.atomic():
            forking = task.enqueue(how)
            others = deadly.sign.enqueue_many([(str(tmp_path / "signed"),)] * 20)
        assert wait_for_state(forking, "successful").return_value == code
        for result in others:
            wait_for_state(result, "successful")
    worker.send(signal.SIGTERM)
    worker.wait()
    assert (tmp_path / "signed").read_text().split() == [str(worker.process.pid)] * 60
