"""What holds at the end of every fault, whatever it was."""

import signal
import time
from collections import Counter
from typing import Any
from uuid import UUID

from taskworks.models import TaskRun, Worker
from taskworks.models.run import IN_HAND, TaskRunQuerySet
from taskworks.options.in_force import policy_of
from tests.faults import report, shelf
from tests.faults.pace import PACE, SLACK
from tests.faults.scene import Scene
from tests.faults.workers import FaultyWorker
from tests.waiting import wait_for

MORE_THAN_FIT = 120  # runs; no test has as many places to execute them
THROUGHPUT = 0.9  # of what it was
WITHIN = 30.0  # seconds


def assert_invariants(scene: Scene, *, crashes: int = 0, waiting: int = 0) -> None:
    """
    The invariants I1 to I6. ``crashes`` is how often each run may have been cut off in an attempt
    that was none of its failures; ``waiting`` is how many runs may wait yet when all is done.
    """
    _each_run_has_ended_or_can_be_claimed(scene, waiting)
    _none_has_disappeared(scene)
    _each_attempt_has_one_outcome(scene)
    _none_has_too_many_attempts(scene, crashes)
    _throughput_is_back(scene)
    _no_worker_needs_a_person(scene)


def _none_has_disappeared(scene: Scene) -> None:
    """I1."""
    there = {str(id_) for id_ in TaskRun.objects.values_list("id", flat=True)}
    assert not set(scene.accepted) - there, "runs were accepted, and have disappeared (I1)"


def _each_attempt_has_one_outcome(scene: Scene) -> None:
    """I2."""
    recorded = Counter((e.run, e.attempt) for e in scene.ledger.entries("recorded"))
    twice = [key for key, count in recorded.items() if count > 1]
    assert not twice, f"attempts have two outcomes (I2): {twice}"
    for run in _runs(scene):
        attempts = [entry["attempt"] for entry in run.errors if not _is_cancellation(entry)]
        assert len(attempts) == len(set(attempts)), f"attempts of {run} failed twice (I2)"


def _is_cancellation(entry: dict[str, Any]) -> bool:
    # It may come on top of a failure, which it keeps from being tried again.
    return entry["exception_class_path"].endswith(".TaskCancelled")


def _each_run_has_ended_or_can_be_claimed(scene: Scene, waiting: int) -> None:
    """I3."""
    living = Worker.objects.living().values("id")
    wait_for(
        lambda: not TaskRun.objects.in_hand().exclude(claimed_by__in=living).exists(),
        "no run is with a dead worker (I3)",
        PACE.rescue + SLACK,
    )
    wait_for(
        lambda: scene.unfinished() <= waiting,
        f"all accepted runs but {waiting} have ended (I3)",
        PACE.rescue + 60,
    )
    stuck = [run for run in _runs(scene) if run.state in IN_HAND]
    assert len(stuck) <= waiting, f"runs are stuck (I3): {stuck}"


def _none_has_too_many_attempts(scene: Scene, crashes: int) -> None:
    """I4."""
    for run in _runs(scene):
        allowed = policy_of(run.task).max_attempts + crashes
        assert run.attempts <= allowed, f"{run} has {run.attempts} attempts (I4)"
        assert run.failures <= policy_of(run.task).max_attempts, f"{run} failed too often (I4)"


def _throughput_is_back(scene: Scene) -> None:
    """I5; who was killed is replaced first, as a service manager does."""
    if not scene.throughput:
        return
    for worker in [worker for worker in scene.workers if not worker.is_running]:
        scene.worker(f"{worker.label}-again")
    _every_worker_executes_again(scene)
    if report.is_written():
        _it_is_as_fast_as_it_was(scene)


def _every_worker_executes_again(scene: Scene) -> None:
    """As many runs wait at a gate as all of them have places, and more; so none is left out."""
    gate = scene.gate("of all")
    results = scene.enqueue_many(shelf.through, [(gate,)] * MORE_THAN_FIT)
    ours = TaskRun.objects.filter(id__in=[result.id for result in results])
    wait_for(lambda: _living() <= _holders(ours), "every worker executes something (I5)")
    gate.open()
    wait_for(lambda: ours.successful().count() == MORE_THAN_FIT, "all of that has ended (I5)")


def _living() -> set[UUID]:
    return {*Worker.objects.living().values_list("id", flat=True)}


def _holders(runs: TaskRunQuerySet) -> set[UUID]:
    return {*runs.running().values_list("claimed_by", flat=True)}


def _it_is_as_fast_as_it_was(scene: Scene) -> None:
    deadline = time.monotonic() + WITHIN
    best = 0.0
    while best < THROUGHPUT * scene.throughput:
        assert time.monotonic() < deadline, (
            f"throughput was {scene.throughput:.0f} runs a second, and is {best:.0f} (I5)"
        )
        best = max(best, scene.measure(timeout=WITHIN))


def _no_worker_needs_a_person(scene: Scene) -> None:
    """I6: each is the process that it was, and stops politely."""
    ours = [worker for worker in scene.workers if not worker.is_expendable]
    dead = [worker.label for worker in ours if not worker.is_running]
    assert not dead, f"workers have died (I6): {dead}"
    for worker in ours:
        worker.ask_to_stop(signal.SIGTERM)
    codes = {worker.label: _exit_code(worker) for worker in ours}
    assert not any(codes.values()), f"workers did not stop politely (I6): {codes}"


def _exit_code(worker: FaultyWorker) -> int:
    return worker.wait(timeout=PACE.shutdown_timeout + 30)


def _runs(scene: Scene) -> list[TaskRun]:
    return [run for run in TaskRun.objects.all() if str(run.id) in scene.accepted]
