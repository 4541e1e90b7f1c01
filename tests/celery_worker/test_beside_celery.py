"""Celery's own tasks and runs, in one worker."""

from pathlib import Path

from taskworks.models import TaskRun
from tests import tasks
from tests.celery_worker.own_tasks import send_own
from tests.celery_worker.processes import StartCelery
from tests.on_request import on_request
from tests.stopping.runs import finished, run_of
from tests.waiting import wait_for

pytestmark = on_request


def test_runs_leave_room_for_tasks_of_celery(
    start_celery: StartCelery, pool: str, broker: str, tmp_path: Path
) -> None:
    worker = start_celery(broker, pool=pool, size=1).wait_until_connected()
    results = [tasks.sleep_for.enqueue(0.02) for _ in range(300)]
    (tmp_path / "go").touch()
    send_own(worker, tmp_path)
    wait_for((tmp_path / "done").exists, "Celery's own task has its turn")
    assert TaskRun.objects.filter(state="ready").exists()  # it did not wait for the last of them
    assert {run.state for run in finished(*results)} == {"successful"}


def test_tasks_of_celery_leave_runs_to_others(
    start_celery: StartCelery, pool: str, broker: str, tmp_path: Path
) -> None:
    """What waits for a worker that is busy is given back, and executed by one that is not."""
    busy = start_celery(broker, pool=pool, size=1).wait_until_connected()
    send_own(busy, tmp_path)
    busy.wait_for_log("Task tests.celery_worker.app.of_celery[")
    results = [tasks.noop.enqueue() for _ in range(5)]
    free = start_celery(broker, pool="threads").wait_until_up()
    runs = finished(*results)
    assert {tuple(run.worker_ids) for run in runs} == {(free.name[:64],)}
    (tmp_path / "go").touch()
    wait_for((tmp_path / "done").exists, "it ends")
    assert run_of(tasks.noop.enqueue())
