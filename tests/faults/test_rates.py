"""A rate, while workers are killed (catalogue A)."""

import time
from datetime import timedelta

import pytest

from taskworks.actions import limits
from taskworks.models import TaskRun, Worker
from taskworks.options.rates import rate_of
from tests.faults import report, shelf
from tests.faults.invariants import assert_invariants
from tests.faults.pace import PACE
from tests.faults.scene import Scene
from tests.waiting import wait_for
from tests.windows import excess

SECOND = timedelta(seconds=1)
RATE = 100  # runs a second
USED = 0.95  # of it, while nobody is killed, on a machine of its own


@pytest.mark.fault(46)
def test_46_no_window_has_too_many_claims_whatever_dies(scene: Scene) -> None:
    limits.synchronize()
    scene.replaces = True
    scene.start("first", "second", "third", "fourth")
    quiet = PACE.storm
    results = shelf.metered.enqueue_many([()] * int(RATE * (quiet + 2 * PACE.storm)))
    scene.accept(results)
    rows = TaskRun.objects.filter(id__in=[result.id for result in results])
    wait_for(lambda: rows.successful().count() >= RATE * quiet, "nobody is killed", 60 + quiet)
    before = sorted(rows.successful().values_list("claimed_at", flat=True))
    used = len(before) / RATE / ((before[-1] - before[0]) / SECOND)
    assert used >= USED or not report.is_written()
    moments, ends, killed = [], time.monotonic() + PACE.storm, 0
    while time.monotonic() < ends:
        worker = next(one for one in scene.workers if one.is_running)
        worker.is_expendable = True
        scene.kill(worker)
        scene.begin_worker(f"heir-{killed}").wait_until_up()
        dead = Worker.objects.filter(label=worker.label).values("id")
        lost = TaskRun.objects.in_hand().filter(claimed_by__in=dead)
        moments += lost.values_list("claimed_at", flat=True)
        killed += 1
        scene.lasts(1.0)
    scene.wait_until_all_ended(60 + PACE.rescue + 3 * PACE.storm)
    moments += rows.values_list("claimed_at", flat=True)
    rate = rate_of(f"{RATE}/s", None)
    assert rate
    assert excess(moments, rate) <= 0
    scene.sees(
        f"{used:.0%} of the rate was used before; with {killed} kills, no window had too many "
        "claims"
    )
    assert_invariants(scene, crashes=3)
