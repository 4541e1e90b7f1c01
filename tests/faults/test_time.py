"""Clocks that are wrong (C)."""

from datetime import datetime, timedelta

import pytest

from taskworks.models import TaskRun, Worker
from taskworks.store import store
from tests.faults import shelf
from tests.faults.clock import moved_clock
from tests.faults.invariants import assert_invariants
from tests.faults.pace import PACE, SLACK
from tests.faults.scene import Scene
from tests.waiting import wait_for

HOUR = 3600
SOON = timedelta(seconds=3)


@pytest.mark.fault(25)
def test_25_clocks_are_an_hour_wrong(scene: Scene) -> None:
    ahead = scene.worker("ahead", **moved_clock(scene.folder, HOUR))
    scene.worker("behind", **moved_clock(scene.folder, -HOUR))
    scene.throughput = scene.measure()
    told = [shelf_time(scene) for _ in range(40)]
    assert len({round(off / HOUR) for off in told} - {0}) == 2, "both clocks are wrong"
    lives = set(Worker.objects.living().values_list("id", flat=True))
    scene.strikes("one clock is an hour ahead, one an hour behind")
    began = store().read_clock()

    soon = shelf.quick.using(run_after=began + SOON)
    results = [scene.enqueue(shelf.quick), *(scene.enqueue(soon) for _ in range(10))]
    later = scene.enqueue(shelf.quick.using(run_after=timedelta(minutes=30)))
    expiring = scene.enqueue(shelf.quick.using(expires=600))
    for result in [*results, expiring]:
        run = scene.wait_until(result, "successful")
        assert_times(run, began, store().read_clock())
    scene.recovers("what was due has ended", None)
    assert scene.run(later).state == "scheduled"
    scene.lasts(PACE.rescue)
    assert set(Worker.objects.living().values_list("id", flat=True)) == lives

    gate = scene.gate()
    held = scene.enqueue_many(shelf.through, [(gate,)] * 8)
    scene.wait_for_entries(8, "start", timeout=30)
    wait_for(lambda: TaskRun.objects.running().count() == 8, "all starts are written")
    scene.kill(ahead)
    gate.open()
    for result in held:
        scene.wait_until(result, "successful", timeout=PACE.rescue + SLACK)
    seconds = scene.recovers("the runs of the one ahead are rescued by the one behind")
    assert seconds <= PACE.rescue + SLACK
    scene.sees("due runs started on time, later ones did not; no living worker was declared dead")
    assert later.cancel()
    assert_invariants(scene, crashes=1)


def assert_times(run: TaskRun, began: datetime, now: datetime) -> None:
    """All by the database's clock, whoever wrote them."""
    due = run.run_after or began
    assert due <= run.started_at <= due + timedelta(seconds=SLACK)
    assert run.started_at <= run.finished_at <= now + timedelta(seconds=1)
    assert began <= run.enqueued_at <= now


def shelf_time(scene: Scene) -> float:
    """How far off the clock of the worker is that executes it."""
    told = scene.wait_until(scene.enqueue(shelf.tell_time), "successful").return_value
    return told - store().read_clock().timestamp()
