"""What Celery's own commands say of runs, and do to them."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from taskworks.models import TaskRun
from tests import tasks
from tests.celery_worker.broker_queue import broker_queue
from tests.celery_worker.enqueuer import enqueuing
from tests.celery_worker.own_tasks import send_own
from tests.celery_worker.processes import CeleryWorker, StartCelery, children_of
from tests.on_request import on_request
from tests.stopping.runs import finished, wait_until
from tests.waiting import wait_for

pytestmark = on_request


@pytest.fixture
def worker(start_celery: StartCelery, pool: str, broker: str) -> CeleryWorker:
    if pool == "solo":
        pytest.skip("a main thread that executes a run answers nobody")
    return start_celery(broker, pool=pool, size=1).wait_until_connected()


@pytest.fixture
def control(worker: CeleryWorker) -> Iterator[Celery]:
    with Celery("asking", broker=worker.broker, set_as_current=False) as app:
        yield app.control


def test_what_is_executed_is_inspected(
    worker: CeleryWorker, control: Celery, tmp_path: Path
) -> None:
    result = tasks.wait_for_file.enqueue(str(tmp_path / "go"))
    wait_until(result, "running")
    inspected = control.inspect([worker.name], timeout=10)
    [active] = inspected.active()[worker.name]
    assert (active["id"], active["name"]) == (result.id, "tests.tasks.wait_for_file")
    assert active["args"] == []
    facts = inspected._request("taskworks")[worker.name]["default"]
    assert (facts["executing"], facts["stage"]) == (1, "working")
    (tmp_path / "go").touch()
    wait_until(result, "successful")
    wait_for(lambda: inspected.active()[worker.name] == [], "nothing is executed")


def test_what_is_executed_and_what_waits_is_found_by_its_id(
    worker: CeleryWorker, control: Celery, pool: str, tmp_path: Path
) -> None:
    inspected = control.inspect([worker.name], timeout=10)
    result = tasks.wait_for_file.enqueue(str(tmp_path / "go"))
    wait_until(result, "running")
    [(state, shown)] = inspected.query_task(result.id)[worker.name].values()
    assert (state, shown["id"]) == ("active", result.id)
    pids = children_of(worker) if pool == "prefork" else [worker.process.pid]
    assert shown["worker_pid"] in pids
    (tmp_path / "go").touch()
    wait_until(result, "successful")
    assert inspected.query_task(result.id)[worker.name] == {}


def test_what_waits_for_a_task_of_celery_is_inspected(
    worker: CeleryWorker, control: Celery, tmp_path: Path
) -> None:
    inspected = control.inspect([worker.name], timeout=10)
    send_own(worker, tmp_path)
    worker.wait_for_log("Task tests.celery_worker.app.of_celery[")
    waiting = tasks.noop.enqueue()

    def shown() -> bool:
        return any(one["id"] == waiting.id for one in inspected.reserved()[worker.name])

    wait_for(shown, "it is reserved, again and again, until others have it")
    [state] = wait_for(
        lambda: [state for state, _ in inspected.query_task(waiting.id)[worker.name].values()],
        "it is found",
    )
    assert state == "reserved"
    (tmp_path / "go").touch()
    wait_until(waiting, "successful")


@pytest.mark.parametrize("command", ["revoke", "terminate"])
def test_revoking_cancels_a_run_that_is_executed_and_one_that_waits(
    worker: CeleryWorker, control: Celery, tmp_path: Path, command: str
) -> None:
    results = [tasks.wait_for_file.enqueue(str(tmp_path / "never"))]
    wait_until(results[0], "running")
    results.append(tasks.noop.enqueue())
    arguments = {"signal": "KILL"} if command == "terminate" else {}
    getattr(control, command)(
        [result.id for result in results], destination=[worker.name], **arguments
    )
    for result in results:
        wait_until(result, "cancelled")
    assert finished(tasks.add.enqueue(1, 2))[0].return_value == 3
    assert worker.process.poll() is None


@pytest.mark.parametrize("pool", ["threads"], indirect=True)
def test_the_pool_does_not_grow_but_nothing_breaks(worker: CeleryWorker, control: Celery) -> None:
    """That of child processes does."""
    for command in (control.pool_grow, control.pool_shrink):
        [answer] = command(1, destination=[worker.name], reply=True, timeout=10)
        assert "error" in answer[worker.name]
    assert finished(tasks.add.enqueue(1, 2))[0].return_value == 3


def test_purge_deletes_tickets_and_no_run(
    start_celery: StartCelery, broker: str, tmp_path: Path
) -> None:
    gone = start_celery(broker).wait_until_connected()
    gone.send(signal.SIGTERM)
    gone.wait()
    with (
        enqueuing(tmp_path / "lines", gone.environment) as enqueuer,
        Celery("purging", broker=broker, set_as_current=False) as app,
    ):
        app.conf.task_queues = [broker_queue(gone.queue)]
        enqueuer.enqueue(20)
        purged: list[int] = []
        wait_for(lambda: purged.append(app.control.purge()) or sum(purged) == 20, "all are purged")
        assert TaskRun.objects.ready().unlimited().count() == 20
        start_celery(broker, **gone.environment)
        wait_for(lambda: TaskRun.objects.successful().count() == 20, "all are executed")
