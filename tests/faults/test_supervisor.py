"""Death of a supervisor, and of one of its workers (A)."""

import os
import signal

import pytest

from taskworks.models import TaskRun, Worker
from tests.alive import is_alive
from tests.faults import shelf
from tests.faults.invariants import assert_invariants
from tests.faults.pace import PACES
from tests.faults.scene import Scene
from tests.faults.test_death import under_way
from tests.faults.workers import FaultyWorker
from tests.waiting import wait_for

PATIENT = {"TASKWORKS_FAULTS_PACE": "default"}


def supervised(scene: Scene, processes: int) -> tuple[FaultyWorker, list[int]]:
    """A supervisor with so many workers; it, and their processes."""
    # So patient that whoever is quicker has not waited for a worker's silence.
    supervisor = scene.worker("many", "--processes", str(processes), "--threads", "4", **PATIENT)
    wait_for(lambda: scene.living() == processes, "all its workers are up", 60)
    scene.throughput = scene.measure()
    return supervisor, sorted(row.pid for row in Worker.objects.living())


@pytest.mark.fault(3)
def test_3_a_supervisor_is_killed(scene: Scene) -> None:
    supervisor, workers = supervised(scene, 2)
    gate = scene.gate()
    results = under_way(scene, shelf.through, gate, 8)
    assert {entry.pid for entry in scene.ledger.entries("start")} == set(workers)
    scene.kill(supervisor)
    gate.open()
    wait_for(lambda: not any(map(is_alive, workers)), "no process is left over", 30)
    scene.recovers("its workers have drained and gone")
    runs = [scene.run(result) for result in results]
    assert {run.state for run in runs} == {"successful"}
    assert {run.attempts for run in runs} == {1}
    assert not Worker.objects.exists()
    scene.sees("8 running tasks finished, one attempt each; no process was left")
    scene.worker("next", "--processes", "2")
    assert_invariants(scene)


@pytest.mark.fault(4)
def test_4_a_worker_of_a_supervisor_is_killed(scene: Scene) -> None:
    supervisor, workers = supervised(scene, 2)
    gate = scene.gate()
    results = under_way(scene, shelf.through, gate, 8)
    killed = workers[0]
    [row] = Worker.objects.filter(pid=killed)
    os.kill(killed, signal.SIGKILL)
    scene.strikes(f"kill -9 of the worker {killed}")
    wait_for(
        lambda: not TaskRun.objects.in_hand().filter(claimed_by=row.id).exists(),
        "its runs are free",
    )
    patient = PACES["default"]
    seconds = scene.recovers("its runs can be claimed")
    assert seconds < patient.worker_timeout - patient.heartbeat_interval
    gate.open()
    wait_for(lambda: scene.living() == 2, "it is replaced")
    for result in results:
        assert scene.wait_until(result, "successful").attempts <= 2
    assert supervisor.is_running
    assert killed not in {row.pid for row in Worker.objects.living()}
    scene.sees("it was replaced, and its runs were ready at once")
    assert_invariants(scene, crashes=1)
