"""How a Celery worker stops: what was claimed is given back, and counts for nothing."""

import signal
from pathlib import Path

import pytest

from taskworks import TaskResult
from taskworks.models import Worker
from tests import tasks
from tests.celery_worker import shelf
from tests.celery_worker.own_tasks import send_own
from tests.celery_worker.processes import StartCelery
from tests.on_request import on_request
from tests.stopping.runs import error_of, run_of, wait_until
from tests.waiting import wait_for

PATIENT = {"TASKWORKS_TEST_SHUTDOWN_TIMEOUT": "600"}


def is_given_back(result: TaskResult) -> None:
    run = run_of(result)
    assert (run.state, run.attempts, run.worker_ids, run.errors) == ("ready", 0, [], [])
    assert run.claimed_by is None


@on_request
def test_idle_it_stops_at_once(start_celery: StartCelery, pool: str, broker: str) -> None:
    worker = start_celery(broker, pool=pool).wait_until_connected()
    wait_for(Worker.objects.exists, "it has registered")
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert not Worker.objects.exists()


def test_warm_lets_a_run_end_and_gives_back_what_waits(
    start_celery: StartCelery, pool: str, broker: str, tmp_path: Path
) -> None:
    worker = start_celery(broker, pool=pool, size=1, **PATIENT).wait_until_connected()
    first = tasks.wait_for_file.enqueue(str(tmp_path / "go"))
    wait_until(first, "running")
    later = [tasks.noop.enqueue() for _ in range(5)]
    worker.send(signal.SIGTERM)
    worker.wait_for_log("is stopping; runs that it has begun: 1")
    worker.send(signal.SIGTERM)  # which Celery ignores
    (tmp_path / "go").touch()
    assert worker.wait() == 0
    assert run_of(first).state == "successful"
    for result in later:
        is_given_back(result)
    assert not Worker.objects.exists()


@on_request
def test_warm_gives_back_what_takes_too_long(
    start_celery: StartCelery, pool: str, broker: str
) -> None:
    worker = start_celery(broker, pool=pool, TASKWORKS_TEST_SHUTDOWN_TIMEOUT="1")
    result = shelf.nap.enqueue()
    wait_until(result, "running")
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    is_given_back(result)
    assert not Worker.objects.exists()


def test_cold_gives_back_at_once(
    start_celery: StartCelery, pool: str, broker: str, tmp_path: Path
) -> None:
    worker = start_celery(broker, pool=pool, size=1, **PATIENT).wait_until_connected()
    result = tasks.wait_for_file.enqueue(str(tmp_path / "never"))
    wait_until(result, "running")
    worker.send(signal.SIGQUIT)
    assert worker.wait() == (0 if pool == "prefork" else 1)  # as Celery's
    is_given_back(result)
    assert not Worker.objects.exists()


@on_request
def test_cold_after_warm(start_celery: StartCelery, pool: str, tmp_path: Path, broker: str) -> None:
    worker = start_celery(broker, pool=pool, size=1, **PATIENT).wait_until_connected()
    result = tasks.wait_for_file.enqueue(str(tmp_path / "never"))
    wait_until(result, "running")
    worker.send(signal.SIGTERM)
    worker.wait_for_log("is stopping; runs that it has begun: 1")
    worker.send(signal.SIGQUIT)
    worker.wait()
    is_given_back(result)
    assert not Worker.objects.exists()


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_a_task_that_cannot_be_stopped_costs_the_process(
    start_celery: StartCelery, pool: str, broker: str
) -> None:
    """A supervisor starts another: the exit code says so."""
    worker = start_celery(broker, pool=pool, TASKWORKS_TEST_INTERRUPT_GRACE="1")
    result = shelf.swallow_interruptions.using(timeout=0.5).enqueue()
    run = wait_until(result, "failed")
    assert error_of(run) == "TaskTimeout"
    assert worker.wait() == 1
    assert not Worker.objects.exists()


def test_a_task_of_celery_that_is_executed_meanwhile_comes_to_its_end(
    start_celery: StartCelery, tmp_path: Path, broker: str
) -> None:
    worker = start_celery(broker, pool="threads", TASKWORKS_TEST_INTERRUPT_GRACE="1")
    worker.wait_until_connected()
    send_own(worker, tmp_path)
    worker.wait_for_log("Task tests.celery_worker.app.of_celery[")
    until, over = tmp_path / "until", tmp_path / "over"
    stuck = shelf.swallow_interruptions.using(timeout=0.5).enqueue(str(until), str(over))
    wait_until(stuck, "failed")
    worker.wait_for_log("has stopped; runs given back")
    until.touch()
    wait_for(over.exists, "the run that was stuck returns")
    (tmp_path / "go").touch()
    assert worker.wait() == 1
    assert (tmp_path / "done").exists()


@on_request
def test_cold_does_not_wait_for_a_task_of_celery(
    start_celery: StartCelery, tmp_path: Path, broker: str
) -> None:
    worker = start_celery(broker, pool="threads", TASKWORKS_TEST_INTERRUPT_GRACE="1")
    worker.wait_until_connected()
    send_own(worker, tmp_path)
    worker.wait_for_log("Task tests.celery_worker.app.of_celery[")
    stuck = shelf.swallow_interruptions.using(timeout=0.5).enqueue()
    wait_until(stuck, "failed")
    worker.wait_for_log("has stopped; runs given back")
    worker.send(signal.SIGQUIT)
    assert worker.wait() == 1
    assert not (tmp_path / "done").exists()


@on_request
def test_cold_beside_a_task_of_celery_gives_back_at_once(
    start_celery: StartCelery, tmp_path: Path, broker: str
) -> None:
    """Celery fails to cancel what its threads execute."""
    worker = start_celery(broker, pool="threads", **PATIENT).wait_until_connected()
    send_own(worker, tmp_path)
    worker.wait_for_log("Task tests.celery_worker.app.of_celery[")
    result = tasks.wait_for_file.enqueue(str(tmp_path / "never"))
    wait_until(result, "running")
    worker.send(signal.SIGQUIT)
    assert worker.wait() == 1
    is_given_back(result)
    assert not Worker.objects.exists()


@on_request
def test_soft_lets_runs_end_and_begins_none(
    start_celery: StartCelery, tmp_path: Path, broker: str
) -> None:
    """Celery's setting worker_soft_shutdown_timeout."""
    soft = {**PATIENT, "TASKWORKS_TEST_SOFT_SHUTDOWN": "600"}
    worker = start_celery(broker, pool="threads", **soft).wait_until_connected()
    ends = tasks.wait_for_file.enqueue(str(tmp_path / "go"))
    stays = tasks.wait_for_file.enqueue(str(tmp_path / "never"))
    for result in (ends, stays):
        wait_until(result, "running")
    worker.send(signal.SIGQUIT)
    worker.wait_for_log("is stopping; runs that it has begun: 2")
    later = tasks.noop.enqueue()
    (tmp_path / "go").touch()
    wait_until(ends, "successful")
    worker.send(signal.SIGQUIT)
    assert worker.wait() == 1
    for result in (stays, later):
        is_given_back(result)


@on_request
def test_the_process_of_beat_does_not_outlive_it(
    start_celery: StartCelery, tmp_path: Path, broker: str
) -> None:
    beat = ["-B", "-s", str(tmp_path / "schedule")]
    worker = start_celery(broker, *beat, pool="threads", TASKWORKS_TEST_INTERRUPT_GRACE="1")
    worker.wait_until_connected()
    pid = worker.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children")
    [child] = wait_for(lambda: children.read_text().split(), "there is the process of beat")
    wait_until(shelf.swallow_interruptions.using(timeout=0.5).enqueue(), "failed")
    assert worker.wait() == 1
    wait_for(lambda: not _lives(child), "it has ended")


def _lives(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@on_request
def test_who_is_asked_through_the_database_stops_celery_too(
    start_celery: StartCelery, pool: str, broker: str
) -> None:
    worker = start_celery(broker, pool=pool).wait_until_connected()
    row = wait_for(Worker.objects.living().first, "it has registered")
    Worker.objects.filter(id=row.id).update(asked_to="drain")
    assert worker.wait() == 0
    assert not Worker.objects.exists()
