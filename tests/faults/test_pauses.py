"""A paused queue, or task, while workers die, freeze and start (catalogue A)."""

import time

import pytest

from taskworks import TaskResult
from taskworks.control import pause, resume
from taskworks.models import Edge, TaskRun
from tests.faults import shelf
from tests.faults.invariants import assert_invariants
from tests.faults.pace import PACE, SLACK
from tests.faults.scene import Scene
from tests.waiting import wait_for

mail = shelf.takes_a_moment.using(queue_name="mail")
RUNS = 3000
THREADS = 4  # of a worker


@pytest.mark.fault(44)
def test_44_nothing_of_a_paused_queue_begins_whatever_dies(scene: Scene) -> None:
    first, second = scene.start("first", "second")
    results = mail.enqueue_many([()] * RUNS)
    scene.accept(results)
    scene.wait_for_entries(1, "start")
    pause("mail")
    paused_at = time.monotonic()
    scene.strikes("the queue is paused at full load")
    scene.kill(first)
    second.freeze()
    frozen_at = time.monotonic()
    third = scene.worker("third")
    wait_for(lambda: not in_hand(results), "what was in hand is given back", PACE.rescue + SLACK)
    second.wake()
    every_worker_is_at_work(scene, 2)
    moments = [entry.at for entry in starts(scene, results)]
    # What a thread had taken when it was frozen begins when it is woken, but nothing else.
    assert sum(at > frozen_at for at in moments) <= THREADS
    last = max(at for at in moments if at <= frozen_at)
    begun, waiting = len(starts(scene, results)), TaskRun.objects.ready().count()
    assert begun < RUNS
    assert waiting > 0
    scene.kill(third)
    scene.worker("fourth")
    every_worker_is_at_work(scene, 2)
    assert len(starts(scene, results)) == begun
    assert TaskRun.objects.ready().filter(queue_name="mail").count() == waiting
    scene.sees(f"the last run began {max(last - paused_at, 0):.2f} s after the pause")
    resume("mail")
    scene.ceases("the queue is resumed")
    scene.wait_until_all_ended()
    scene.recovers("all runs of it have ended")
    assert TaskRun.objects.successful().filter(queue_name="mail").count() == RUNS
    assert_invariants(scene, crashes=1)


@pytest.mark.fault(45)
def test_45_no_run_of_a_paused_task_begins_or_is_stranded_whatever_dies(scene: Scene) -> None:
    first, second = scene.start("first", "second")
    results = shelf.takes_a_moment.enqueue_many([()] * RUNS)
    scene.accept(results)
    scene.wait_for_entries(1, "start")
    paused = pause(task=shelf.takes_a_moment)
    paused_at = time.monotonic()
    scene.strikes("the task is paused at full load")
    ours = TaskRun.objects.filter(task_path=shelf.takes_a_moment.module_path)
    wait_for(lambda: ours.blocked().exists(), "some are parked")
    scene.kill(first)
    second.freeze()
    frozen_at = time.monotonic()
    third = scene.worker("third")
    wait_for(
        lambda: not ours.in_hand().exists(), "what was in hand is given back", PACE.rescue + SLACK
    )
    second.wake()
    every_worker_is_at_work(scene, 2)
    moments = [entry.at for entry in starts(scene, results)]
    # What a thread had taken when it was frozen begins when it is woken, but nothing else.
    assert sum(at > frozen_at for at in moments) <= THREADS
    last = max(at for at in moments if at <= frozen_at)
    wait_for(lambda: not ours.ready().exists(), "all others are parked")
    begun, waiting = len(starts(scene, results)), ours.blocked().count()
    assert begun < RUNS
    assert waiting > 0
    assert not ours.blocked().exclude(id__in=Edge.objects.values("run")).exists()
    scene.kill(third)
    scene.worker("fourth")
    every_worker_is_at_work(scene, 2)
    assert len(starts(scene, results)) == begun
    assert ours.blocked().count() == waiting
    assert {*Edge.objects.values_list("after", flat=True)} == {paused.id}
    scene.sees(f"the last run began {max(last - paused_at, 0):.2f} s after the pause")
    resume(task=shelf.takes_a_moment)
    scene.ceases("the task is resumed")
    scene.wait_until_all_ended()
    scene.recovers("all runs of it have ended")
    assert ours.successful().count() == RUNS
    assert_invariants(scene, crashes=1)


def starts(scene: Scene, results: list[TaskResult]) -> list:
    ids = {result.id for result in results}
    return [entry for entry in scene.ledger.entries("start") if entry.run in ids]


def in_hand(results: list[TaskResult]) -> bool:
    return TaskRun.objects.in_hand().filter(queue_name="mail").exists()


def every_worker_is_at_work(scene: Scene, count: int) -> None:
    """Runs of another queue wait at a gate, more than one worker has places for."""
    gate = scene.gate(f"gate of {len(scene.accepted)}")
    results = scene.enqueue_many(shelf.through, [(gate,)] * 120)
    ours = TaskRun.objects.running().filter(id__in=[result.id for result in results])
    wait_for(
        lambda: ours.values("claimed_by").distinct().count() >= count, "each executes something"
    )
    gate.open()
    for result in results:
        scene.wait_until(result, "successful")
