"""Death and signals of processes: what becomes of what they had in hand (catalogue A)."""

import signal

import pytest

from taskworks import Task, TaskResult
from taskworks.models import Worker
from tests.faults import shelf
from tests.faults.invariants import assert_invariants
from tests.faults.pace import PACE, PACES, SLACK
from tests.faults.scene import Scene
from tests.waiting import wait_for

RESCUED_WITHIN = PACE.rescue + SLACK


def under_way(scene: Scene, task: Task, gate: object, count: int = 1) -> list[TaskResult]:
    """Runs that have begun, and wait at the gate."""
    before = len(scene.ledger.entries("start"))
    results = scene.enqueue_many(task, [(gate,)] * count)
    scene.wait_for_entries(before + count, "start")
    for result in results:
        scene.wait_until(result, "running")
    return results


@pytest.mark.fault(1)
def test_1_a_worker_is_killed_in_the_middle_of_its_runs(scene: Scene) -> None:
    [first] = scene.start("first")
    gate = scene.gate()
    results = under_way(scene, shelf.through, gate, 3)
    scene.worker("second")
    scene.kill(first)
    gate.open()
    for result in results:
        again = scene.wait_for_entries(2, "start", result, timeout=RESCUED_WITHIN)[-1]
        scene.recovers(f"{result.id} is executed again", again.at)
        run = scene.wait_until(result, "successful")
        assert (run.attempts, run.worker_ids, run.errors) == (2, ["first", "second"], [])
        assert len(scene.ledger.entries("start", result.id)) == 2
        assert len(scene.ledger.entries("end", result.id)) == 1
    scene.sees("3 runs were started twice and finished once, by another worker")
    assert_invariants(scene, crashes=1)


@pytest.mark.fault(2)
def test_2_a_worker_is_killed_between_the_effect_and_its_record(scene: Scene) -> None:
    [first] = scene.start("first")
    scene.worker("second")
    flag = scene.gate("flag")
    first.is_expendable = True  # one of them dies of it
    scene.workers[1].is_expendable = True
    result = scene.enqueue(shelf.die_after_the_effect, flag)
    scene.wait_for_entries(1, "effect")
    scene.strikes("kill -9 after the effect, before its record")
    [_, again] = scene.wait_for_entries(2, "effect", timeout=RESCUED_WITHIN)
    scene.recovers("it is executed again", again.at)
    run = scene.wait_until(result, "successful")
    assert run.errors == []
    scene.wait_for_entries(1, "recorded", result)
    assert len(scene.ledger.entries("recorded", result.id)) == 1
    scene.sees("the effect happened twice, and one outcome was recorded")
    assert_invariants(scene, crashes=1)


@pytest.mark.fault(7)
def test_7_what_runs_may_end_after_sigterm(scene: Scene) -> None:
    # They may take their time: what is slow here is the machine.
    first, second = scene.start("first", "second", TASKWORKS_FAULTS_PACE="default")
    gate = scene.gate()
    results = under_way(scene, shelf.through, gate, 4)
    results += under_way(scene, shelf.through_async, gate, 2)
    for worker in (first, second):
        worker.ask_to_stop()
    scene.strikes("SIGTERM")
    for worker in (first, second):
        worker.wait_for_line("Shutting down: ")
    later = scene.enqueue(shelf.quick)
    gate.open()
    assert [first.wait(), second.wait()] == [0, 0]
    scene.recovers("both have exited with 0")
    assert {scene.run(result).state for result in results} == {"successful"}
    assert {scene.run(result).attempts for result in results} == {1}
    assert scene.run(later).state == "ready"
    assert scene.ledger.entries("start", later.id) == []
    assert not Worker.objects.exists()
    scene.sees("6 running tasks finished, nothing more was claimed, exit code 0")
    scene.worker("next")
    assert_invariants(scene)


@pytest.mark.fault(8)
@pytest.mark.parametrize("task", [shelf.through, shelf.through_async], ids=["thread", "coroutine"])
def test_8_what_takes_too_long_after_sigterm_is_given_back(scene: Scene, task: Task) -> None:
    [first] = scene.start("first")
    gate = scene.gate()
    results = under_way(scene, task, gate, 2)
    first.ask_to_stop()
    scene.strikes("SIGTERM")
    assert first.wait() == 0
    seconds = scene.recovers("it has exited with 0, and its runs can be claimed")
    assert PACE.shutdown_timeout <= seconds < PACE.shutdown_timeout + 2 + SLACK
    for result in results:
        run = scene.run(result)
        assert (run.state, run.attempts, run.worker_ids, run.errors) == ("ready", 0, [], [])
    assert scene.ledger.entries("end") == []
    scene.sees("asked to stop, released without using up an attempt, exit code 0")
    gate.open()
    scene.worker("second")
    assert_invariants(scene)
    assert {scene.run(result).attempts for result in results} == {1}


@pytest.mark.fault(9)
def test_9_a_storm_of_signals_is_one_release(scene: Scene) -> None:
    [first] = scene.start("first", TASKWORKS_FAULTS_PACE="default")
    gate = scene.gate()
    [result] = under_way(scene, shelf.through, gate)
    scene.strikes("five SIGTERM, SIGINT, SIGQUIT, SIGHUP")
    mixed = [signal.SIGINT, signal.SIGQUIT, signal.SIGHUP]
    for number in [signal.SIGTERM] * 5 + mixed:
        if first.is_running:
            first.ask_to_stop(number)
    assert first.wait() == 0
    assert scene.recovers("it has exited with 0") < PACES["default"].shutdown_timeout
    assert "Traceback" not in first.output
    assert first.output.count("The worker has stopped") == 1
    run = scene.run(result)
    assert (run.state, run.attempts) == ("ready", 0)
    scene.sees("one shutdown, no traceback, the run was released at once")
    gate.open()
    scene.worker("second")
    assert_invariants(scene)


@pytest.mark.fault(10)
@pytest.mark.parametrize(
    "task",
    [shelf.through, shelf.fail_once_at, shelf.snooze_once_at, shelf.tell_at],
    ids=["finishes", "fails", "snoozes", "tells"],
)
def test_10_a_frozen_worker_wakes_after_its_rescue(scene: Scene, task: Task) -> None:
    [zombie] = scene.start("zombie")
    gate = scene.gate()
    [result] = under_way(scene, task, gate)
    scene.worker("second")
    zombie.freeze()
    scene.strikes("SIGSTOP of the worker")
    again = scene.wait_for_entries(2, "start", result, timeout=RESCUED_WITHIN)[-1]
    scene.recovers("it is executed by another", again.at)
    gate.open()
    run = scene.wait_until(result, "successful")
    zombie.wake()
    scene.happens("SIGCONT")
    wait_for(lambda: Worker.objects.living().filter(label="zombie"), "it is registered anew")
    zombie.wait_for_line("lost")
    before = vars(run)
    after = vars(scene.run(result))
    assert {key: after[key] for key in after if key != "_state"} == {
        key: before[key] for key in before if key != "_state"
    }
    assert (run.attempts, run.worker_ids, run.errors) == (2, ["zombie", "second"], [])
    if task is shelf.tell_at:
        assert (run.target, run.progress) == (2, 2)
    recorded = scene.ledger.entries("recorded", result.id)
    assert zombie.pid not in {entry.pid for entry in recorded}
    scene.sees("the frozen worker's outcome was not written; it continued under a new row")
    assert_invariants(scene, crashes=1)


@pytest.mark.fault(11)
def test_11_a_task_starves_the_heartbeat(scene: Scene) -> None:
    [zombie] = scene.start("zombie")
    held_for = PACE.worker_timeout + 2 * PACE.rescue
    result = scene.enqueue(shelf.hold_the_interpreter_of, "zombie", held_for)
    scene.wait_for_entries(1, "start")
    scene.strikes(f"a task holds the interpreter of its process for {held_for:g} s")
    scene.worker("second")
    again = scene.wait_for_entries(2, "start", result, timeout=RESCUED_WITHIN)[-1]
    scene.recovers("it is executed by another", again.at)
    scene.wait_until(result, "successful")
    # It stops what it executes as soon as it notices, which may be before the task's last line.
    zombie.wait_for_line("it goes on under a new id", timeout=held_for + SLACK)
    run = scene.run(result)
    # Nobody could write that the first attempt had begun.
    assert (run.state, run.worker_ids[-1]) == ("successful", "second")
    scene.wait_for_entries(1, "recorded", result)
    assert len(scene.ledger.entries("recorded", result.id)) == 1
    scene.sees("executed by another worker; the starved worker's outcome was not written")
    assert_invariants(scene, crashes=1)


@pytest.mark.fault(12)
def test_12_parent_and_child_share_no_connection(scene: Scene) -> None:
    [worker] = scene.start("worker")
    scene.strikes("children are begun after the worker has connected")
    in_thread = scene.enqueue(shelf.sockets)
    parents = set(scene.wait_until(in_thread, "successful").return_value)
    in_child = scene.enqueue(shelf.sockets.using(executor="process"))
    childs = set(scene.wait_until(in_child, "successful").return_value)
    scene.recovers("both have used the database")
    assert parents
    assert childs
    assert not parents & childs
    assert not childs & shelf.sockets_of(worker.pid)
    scene.sees("no socket was shared")
    assert_invariants(scene)
