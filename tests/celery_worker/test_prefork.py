"""Celery's child processes: that die, that are replaced, and of which there are more or less."""

import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.db import transaction

from taskworks.models import TaskRun
from tests import tasks
from tests.celery_worker import shelf
from tests.celery_worker.brokers import OwnRedis
from tests.celery_worker.own_tasks import send_own
from tests.celery_worker.processes import CeleryWorker, StartCelery, children_of
from tests.effort import EVERY_CASE
from tests.on_request import on_request
from tests.settings import DATABASE
from tests.stopping.runs import error_of, finished, run_of, wait_until
from tests.waiting import wait_for

# A worker that is only slow is not to be given up here.
PATIENT = {"TASKWORKS_TEST_WORKER_TIMEOUT": "20", "TASKWORKS_TEST_SHUTDOWN_TIMEOUT": "600"}
# As if runs took no time, however slow the machine is: a child is given several.
SEVERAL = {"TASKWORKS_TEST_GIVES_SEVERAL": "1"}
FORKED = 2000 if EVERY_CASE else 20
SPAWNED = 200  # each imports the project
FORK = pytest.param(
    "fork",
    FORKED,
    marks=pytest.mark.skipif(
        DATABASE == "sqlite", reason="no process is forked from one that uses SQLite"
    ),
)


@pytest.fixture
def start(start_celery: StartCelery, broker: str) -> StartCelery:
    def start(*arguments: str, **options: Any) -> CeleryWorker:
        return start_celery(broker, *arguments, pool="prefork", **{**PATIENT, **options})

    return start


def wait_for_file(path: Path) -> str:
    wait_for(lambda: path.exists() and path.read_text(), f"there is {path}")
    return path.read_text()


def test_a_run_is_executed_in_a_child(start: StartCelery, tmp_path: Path) -> None:
    worker = start().wait_until_connected()
    result = shelf.write_pid_and_wait.enqueue(str(tmp_path / "pid"), str(tmp_path / "go"))
    pid = int(wait_for_file(tmp_path / "pid"))
    assert pid in children_of(worker)
    (tmp_path / "go").touch()
    assert finished(result)[0].state == "successful"


def test_a_child_that_is_killed_takes_only_the_run_that_it_executes(
    start: StartCelery, tmp_path: Path
) -> None:
    worker = start(size=1).wait_until_connected()
    finished(*(tasks.noop.enqueue() for _ in range(50)))  # by now it claims ahead
    killed = shelf.write_pid_and_wait.enqueue(str(tmp_path / "pid"), str(tmp_path / "never"))
    innocents = [tasks.noop.enqueue() for _ in range(50)]
    os.kill(int(wait_for_file(tmp_path / "pid")), signal.SIGKILL)
    for run in finished(*innocents):
        assert (run.state, run.attempts, run.errors) == ("successful", 1, [])
    run = wait_until(killed, "ready", "running", "failed")
    wait_for(lambda: run_of(killed).errors, "its crash is noted")
    run = run_of(killed)
    assert error_of(run) == "TaskCrashed"
    assert "Its process was ended by SIGKILL." in run.errors[0]["traceback"]
    assert worker.process.poll() is None


@on_request
def test_a_run_that_kills_each_child_is_poison(start: StartCelery) -> None:
    start().wait_until_connected()
    [run] = finished(shelf.die.enqueue())
    assert (run.state, error_of(run)) == ("failed", "TaskCrashed")


def test_a_run_that_kills_its_child_takes_no_run_that_the_child_was_given(
    start: StartCelery,
) -> None:
    start(size=1, **SEVERAL).wait_until_connected()
    finished(tasks.noop.enqueue())  # before the first has ended, nobody claims ahead
    with transaction.atomic():  # so that they are claimed together
        before = [tasks.noop.enqueue() for _ in range(8)]
        deadly = shelf.die.using(max_attempts=1).enqueue()
        behind = [tasks.noop.enqueue() for _ in range(8)]
    [run] = finished(deadly)
    assert (run.state, error_of(run)) == ("failed", "TaskCrashed")
    for innocent in finished(*before, *behind):
        assert (innocent.state, innocent.attempts, innocent.errors) == ("successful", 1, [])


def test_a_timeout_strikes_at_once_a_function_that_sleeps(start: StartCelery) -> None:
    start().wait_until_connected()
    [run] = finished(shelf.sleep_for_ever.using(timeout=0.5).enqueue())
    assert (run.state, error_of(run)) == ("failed", "TaskTimeout")


def test_a_child_that_does_not_stop_is_killed(start: StartCelery, tmp_path: Path) -> None:
    """Its run has the error for which it was killed, and others go on."""
    worker = start(size=1).wait_until_connected()
    stuck = shelf.swallow_interruptions.using(timeout=0.5, max_attempts=2, backoff=0).enqueue()
    later = [tasks.noop.enqueue() for _ in range(5)]
    [run] = finished(stuck)
    assert [entry["exception_class_path"] for entry in run.errors] == [
        "taskworks.exceptions.TaskTimeout"
    ] * 2
    assert {(run.state, run.attempts) for run in finished(*later)} == {("successful", 1)}
    assert worker.process.poll() is None


def test_a_run_is_cancelled_in_a_child(start: StartCelery, tmp_path: Path) -> None:
    start().wait_until_connected()
    for task in (shelf.sleep_for_ever, shelf.count_for_ever, shelf.swallow_interruptions):
        result = task.enqueue()
        wait_until(result, "running")
        assert result.cancel()
        wait_until(result, "cancelled")


@pytest.mark.timeout(300 + 10 * FORKED)
@pytest.mark.parametrize(
    ("method", "number"), [FORK, pytest.param("spawn", SPAWNED, marks=on_request)]
)
def test_children_that_are_replaced_all_the_time(
    start_celery: StartCelery, redis_server: OwnRedis, method: str, number: int
) -> None:
    """They are forked while the worker's threads use the database."""
    options = {**PATIENT, "TASKWORKS_TEST_START_METHOD": method}
    count_turns = ["--max-tasks-per-child", "1"]
    worker = start_celery(redis_server.url, *count_turns, pool="prefork", **options)
    worker.wait_until_connected()
    results = shelf.process_after_query.enqueue_many([()] * number)
    successful = TaskRun.objects.successful()
    for many in range(1, number + 1):  # so that it is seen soon if they hang
        wait_for(lambda many=many: successful.count() >= many, f"{many} are executed", 100)
    runs = finished(*results)
    assert {(run.state, run.attempts) for run in runs} == {("successful", 1)}
    assert len({run.return_value for run in runs}) == number
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    postgresql = ("server closed the connection unexpectedly", "connection is closed")
    for word in (*postgresql, "Lost connection", "gone away", "Traceback"):
        assert word not in worker.log


def test_what_a_killed_worker_leaves_is_deleted_by_the_next(start: StartCelery) -> None:
    with tempfile.TemporaryDirectory() as folder:  # whose path is short enough for a socket
        first = start(TMPDIR=folder).wait_until_connected()
        [left] = Path(folder).glob("taskworks-*")
        finished(tasks.noop.enqueue())
        first.send(signal.SIGKILL)
        first.wait()
        assert left.exists()
        start(TMPDIR=folder).wait_until_connected()
        assert finished(tasks.add.enqueue(1, 2))[0].return_value == 3
        [its_own] = Path(folder).glob("taskworks-*")
        assert its_own != left


@on_request
def test_children_that_are_spawned(start: StartCelery) -> None:
    start(TASKWORKS_TEST_START_METHOD="spawn").wait_until_connected()
    assert finished(tasks.add.enqueue(1, 2))[0].return_value == 3


def test_autoscale_and_commands_change_how_many_there_are(
    start: StartCelery, tmp_path: Path
) -> None:
    start("--autoscale", "4,1").wait_until_connected()
    results = [tasks.wait_for_file.enqueue(str(tmp_path / "go")) for _ in range(6)]
    wait_for(lambda: TaskRun.objects.filter(state="running").count() == 4, "four are executed", 100)
    (tmp_path / "go").touch()
    assert {run.state for run in finished(*results)} == {"successful"}


@on_request
def test_pool_grow_and_pool_shrink(start: StartCelery, tmp_path: Path) -> None:
    worker = start(size=1).wait_until_connected()
    with Celery("asking", broker=worker.broker, set_as_current=False) as app:
        app.control.pool_grow(2, destination=[worker.name], reply=True, timeout=60)
        go = tmp_path / "go"
        results = [tasks.wait_for_file.enqueue(str(go)) for _ in range(4)]
        running = TaskRun.objects.filter(state="running")
        wait_for(lambda: running.count() == 3, "three are executed")
        go.touch()
        finished(*results)
        app.control.pool_shrink(2, destination=[worker.name], reply=True, timeout=60)
        wait_for(lambda: len(children_of(worker)) == 1, "one is left")
        assert finished(tasks.add.enqueue(1, 2))[0].return_value == 3


@on_request
def test_the_child_is_inspected(start: StartCelery, tmp_path: Path) -> None:
    worker = start(size=1).wait_until_connected()
    result = shelf.write_pid_and_wait.enqueue(str(tmp_path / "pid"), str(tmp_path / "go"))
    pid = int(wait_for_file(tmp_path / "pid"))
    with Celery("asking", broker=worker.broker, set_as_current=False) as app:
        [active] = app.control.inspect([worker.name], timeout=10).active()[worker.name]
    assert (active["id"], active["worker_pid"]) == (result.id, pid)
    (tmp_path / "go").touch()
    finished(result)


@on_request
def test_time_limits_of_celerys_do_not_end_runs(start: StartCelery, tmp_path: Path) -> None:
    start("--time-limit", "1", "--soft-time-limit", "1", size=1).wait_until_connected()
    result = tasks.sleep_for.enqueue(3)
    run = wait_until(result, "successful", "failed")
    assert (run.state, run.attempts) == ("successful", 1)


@on_request
def test_celerys_own_tasks_have_their_turn_beside_a_backlog(
    start: StartCelery, tmp_path: Path
) -> None:
    worker = start(size=1).wait_until_connected()
    results = [tasks.sleep_for.enqueue(0.005) for _ in range(400)]
    wait_for(lambda: TaskRun.objects.successful().exists(), "it has begun")
    (tmp_path / "go").touch()
    send_own(worker, tmp_path)
    wait_for((tmp_path / "done").exists, "Celery's own task is executed")
    assert TaskRun.objects.ready().unlimited().exists()
    assert {run.state for run in finished(*results)} == {"successful"}


@on_request
def test_signals_to_all_processes_end_no_run(start: StartCelery, tmp_path: Path) -> None:
    """As a service manager sends them; the worker lets runs end."""
    worker = start(size=1).wait_until_connected()
    result = tasks.wait_for_file.enqueue(str(tmp_path / "go"))
    wait_until(result, "running")
    os.killpg(worker.process.pid, signal.SIGTERM)
    worker.wait_for_log("is stopping; runs that it has begun: 1")
    (tmp_path / "go").touch()
    assert worker.wait() == 0
    assert (run_of(result).state, run_of(result).attempts) == ("successful", 1)


def test_what_a_child_was_given_does_not_wait_for_a_run_that_takes_long(
    start: StartCelery, tmp_path: Path
) -> None:
    """Brief runs are given to a child several at a time; those behind a long one are taken back."""
    start(size=1, **SEVERAL).wait_until_connected()
    finished(tasks.noop.enqueue())  # before the first has ended, nobody claims ahead
    with transaction.atomic():  # so that they are claimed together
        before = [tasks.noop.enqueue() for _ in range(5)]
        long = tasks.wait_for_file.enqueue(str(tmp_path / "go"))
        behind = [tasks.noop.enqueue() for _ in range(50)]
    wait_until(long, "running")
    assert {run.state for run in finished(*before)} == {"successful"}
    ready = TaskRun.objects.ready().unlimited()
    wait_for(lambda: ready.count() == len(behind), "others may have them")
    (tmp_path / "go").touch()
    assert {(run.state, run.attempts) for run in finished(*behind)} == {("successful", 1)}
