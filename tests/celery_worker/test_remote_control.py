"""What Celery's own commands say of runs, and do to them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from tests import tasks
from tests.celery_worker.processes import CeleryWorker, StartCelery
from tests.on_request import on_request
from tests.stopping.runs import wait_until
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


def test_revoke_cancels_a_run(worker: CeleryWorker, control: Celery, tmp_path: Path) -> None:
    result = tasks.wait_for_file.enqueue(str(tmp_path / "never"))
    wait_until(result, "running")
    control.revoke(result.id, destination=[worker.name])
    wait_until(result, "cancelled")
