"""Main processes that are killed: no run is lost, and none is left running."""

import os
import signal

from taskworks.models import TaskRun
from tests import tasks
from tests.celery_worker.processes import StartCelery
from tests.on_request import on_request
from tests.waiting import wait_for

pytestmark = on_request

# A worker that is only slow is not to be given up here.
PATIENT = {"TASKWORKS_TEST_WORKER_TIMEOUT": "10"}
RUNS = int(os.environ.get("TASKWORKS_TEST_CELERY_RUNS", "600"))


def test_runs_of_killed_workers_are_executed_by_others(
    start_celery: StartCelery, pool: str, broker: str
) -> None:
    results = [tasks.sleep_for.enqueue(0.002) for _ in range(RUNS)]
    for _ in range(3):
        worker = start_celery(broker, pool=pool, **PATIENT).wait_until_up()
        before = TaskRun.objects.successful().count()
        wait_for(
            lambda before=before: TaskRun.objects.successful().count() >= before + RUNS // 8,
            "it has executed some",
            timeout=200,
        )
        worker.send(signal.SIGKILL)
        worker.wait()
    start_celery(broker, pool=pool, **PATIENT)
    wait_for(lambda: TaskRun.objects.successful().count() == RUNS, "all are executed", 200)
    runs = TaskRun.objects.filter(id__in=[result.id for result in results])
    assert {run.state for run in runs} == {"successful"}
    assert [run.errors for run in runs if run.errors] == []
