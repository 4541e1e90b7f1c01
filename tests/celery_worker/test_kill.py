"""Main processes that are killed: no run is lost, and none is left running."""

import signal
import time
from collections import Counter
from pathlib import Path
from uuid import UUID

import pytest

from taskworks.models import TaskRun
from taskworks.models import Worker as WorkerRow
from tests.celery_worker.enqueuer import enqueuing
from tests.celery_worker.processes import CeleryWorker, StartCelery
from tests.effort import EVERY_CASE
from tests.on_request import on_request
from tests.waiting import wait_for

RUNS, KILLS = (5000, 12) if EVERY_CASE else (600, 3)
SLOTS = 2
# A worker that is only slow is not to be given up here; one that is dead is, after so long.
WORKER_TIMEOUT = 30 if EVERY_CASE else 10
RESCUED_WITHIN = 40  # seconds
HELD = ("claimed", "running")

pytestmark = pytest.mark.not_every_day

POOLS = ["threads", *(pytest.param(pool, marks=on_request) for pool in ("prefork", "solo"))]


@pytest.mark.parametrize("pool", POOLS)
def test_runs_of_killed_workers_are_executed_by_others(
    start_celery: StartCelery, pool: str, broker: str, tmp_path: Path
) -> None:
    """One of two is killed again and again, and another one takes its place."""
    environment = {"TASKWORKS_TEST_WORKER_TIMEOUT": str(WORKER_TIMEOUT)}
    first = start_celery(broker, pool=pool, size=SLOTS, **environment)
    environment |= first.environment  # the same queue
    workers = [first, start_celery(broker, pool=pool, size=SLOTS, **environment)]
    dead: set[UUID] = set()
    lines = tmp_path / "lines"
    with enqueuing(lines, environment, seconds=0.01) as enqueuer:
        enqueuer.begin(RUNS)
        for kill in range(KILLS):
            wait_until_executed((kill + 1) * RUNS // (KILLS + 1))
            dead |= kill_one(workers.pop(0))
            if kill < KILLS - 1:
                workers.append(start_celery(broker, pool=pool, size=SLOTS, **environment))
        print(f"None was left in the hands of the dead after {seconds_until_rescued(dead):.0f} s.")
        enqueuer.wait()
        wait_until_executed(RUNS)
    runs = TaskRun.objects.values_list("state", "crashes", "failures")
    assert Counter(runs) == {("successful", 0, 0): RUNS}
    assert not TaskRun.objects.exclude(errors=[]).exists()
    assert {*map(int, lines.read_text().split())} == {*range(RUNS)}


def wait_until_executed(many: int) -> None:
    executed = TaskRun.objects.successful()
    wait_for(lambda: executed.count() >= many, f"{many} are executed", timeout=300)


def seconds_until_rescued(dead: set[UUID]) -> float:
    """Wait until none of these workers has a run in hand."""
    killed_at = time.monotonic()
    held_by_the_dead = TaskRun.objects.filter(claimed_by__in=dead, state__in=HELD)
    wait_for(lambda: not held_by_the_dead.exists(), "none is left", timeout=RESCUED_WITHIN)
    return time.monotonic() - killed_at


def kill_one(worker: CeleryWorker) -> set[UUID]:
    """Kill it; the ids by which it had runs."""
    ids = {*WorkerRow.objects.filter(label=worker.name[:64]).values_list("id", flat=True)}
    worker.send(signal.SIGKILL)
    worker.wait()
    return ids
