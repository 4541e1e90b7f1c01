"""Many faults at once, and what is left of them: nothing lost, nothing done twice."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest

from taskworks.duties.rescue import rescue
from taskworks.execution import (
    Attempt,
    Failed,
    Released,
    Retried,
    Snoozed,
    Succeeded,
    settle,
)
from taskworks.models import TaskRun, Worker
from taskworks.store import store
from tests.faults import shelf
from tests.faults.havoc import Havoc
from tests.faults.invariants import assert_invariants
from tests.faults.pace import PACE, SLACK
from tests.faults.scene import Scene
from tests.waiting import wait_for

KILLS = 20


@pytest.mark.fault(41)
@pytest.mark.timeout(1200)
def test_41_twenty_kills_during_twenty_thousand_runs(scene: Scene) -> None:
    total = 20_000
    scene.accept(shelf.brief.enqueue_many([{}] * total))
    havoc = Havoc(scene, 4, "--threads", "8")
    done = TaskRun.objects.finished().filter(task_path=shelf.brief.module_path).count
    havoc.until(done, total, [havoc.kill] * KILLS)
    scene.recovery = havoc.slowest
    runs = TaskRun.objects.filter(task_path=shelf.brief.module_path)
    assert runs.successful().count() == runs.count() == total
    assert {entry.run for entry in scene.ledger.entries("end")} == scene.accepted
    starts = len(scene.ledger.entries("start"))
    assert not TaskRun.objects.in_hand().exists()
    scene.sees(f"{total} runs successful, {starts - total} of them started again; no poison")
    assert_invariants(scene, crashes=KILLS)


@pytest.mark.fault(42)
@pytest.mark.timeout(600)
def test_42_real_zombies(scene: Scene) -> None:
    gate = scene.gate()
    zombies = [scene.worker(f"zombie{n}", "--threads", "20") for n in range(5)]
    results = scene.enqueue_many(shelf.through, [(gate,)] * 100)
    scene.wait_for_entries(100, "start")
    wait_for(lambda: TaskRun.objects.running().count() == 100, "all starts are written")
    for zombie in zombies:
        zombie.freeze()
    scene.strikes("SIGSTOP of five workers with 20 runs each")
    gate.open()
    scene.worker("healthy")
    scene.wait_until_all_ended(timeout=PACE.rescue + SLACK + 120)
    scene.recovers("all runs have ended elsewhere")
    before = rows_of(results)
    for zombie in zombies:
        zombie.wake()
    for zombie in zombies:
        wait_for(lambda zombie=zombie: zombie.output.count("lost") >= 20, "its outcomes are lost")
    assert rows_of(results) == before
    pids = {zombie.pid for zombie in zombies}
    assert not [entry for entry in scene.ledger.entries("recorded") if entry.pid in pids]
    scene.sees("100 outcomes of frozen workers, none written")
    assert_invariants(scene, crashes=1)


@pytest.mark.fault(42)
@pytest.mark.timeout(600)
def test_42_ten_thousand_zombies(scene: Scene) -> None:
    """By what a worker writes with, claim after claim; half of the runs have a new owner."""
    scene.strikes("9,900 outcomes of workers that are gone")
    written = 0
    for number in range(99):
        attempts = [Attempt(run, "zombie") for run in claimed_by_one_that_dies(100)]
        if number % 2:
            claim(100)
        before = rows()
        written += sum(len(ids) for ids in brought(attempts, number))
        assert rows() == before
        TaskRun.objects.all().delete()
    assert written == 0
    scene.sees("9,900 outcomes reported after a rescue, none written")


def claimed_by_one_that_dies(count: int) -> list[TaskRun]:
    shelf.bare.enqueue_many([{}] * count)
    runs, zombie = claim(count)
    Worker.objects.filter(id=zombie).delete()
    rescue(store())
    assert TaskRun.objects.ready().count() == count
    return runs


def claim(count: int) -> tuple[list[TaskRun], object]:
    worker = Worker(id=uuid4(), label="claims", hostname="here", pid=1)
    store().register(worker)
    runs = store().claim(worker.id, "default", ["default"], {"thread": count, "alone": count})
    assert len(runs) == count
    return runs, worker.id


def brought(attempts: list[Attempt], number: int) -> Iterator[set[object]]:
    """All that a worker writes of its attempts; which of it was written."""
    error = ValueError("the zombie's")
    entry = {"exception_class_path": "builtins.ValueError", "traceback": "the zombie's"}
    outcomes = [
        Succeeded("the zombie's"),
        Failed(error, entry),
        Retried(error, entry, timedelta(0)),
        Snoozed(timedelta(hours=1)),
        Released(),
    ]
    outcome = outcomes[number % len(outcomes)]
    runs = [attempt.run for attempt in attempts]
    for attempt in attempts:
        attempt.begin()
    yield store().start(runs)
    for run in runs:
        run.target, run.progress = 666, 666
    yield store().write_progress(runs)
    for attempt in attempts:
        settle(attempt, outcome)
    match outcome:
        case Succeeded() | Failed():
            yield store().finish(runs)
        case Released():
            yield store().release(runs)
        case _:
            yield store().requeue(runs)


def rows() -> list[object]:
    return list(TaskRun.objects.order_by("id").values())


def rows_of(results: list[object]) -> list[object]:
    ids = [result.id for result in results]
    return list(TaskRun.objects.filter(id__in=ids).order_by("id").values())
