"""Tasks that end the process that executes them (A)."""

import pytest

from tests.faults import shelf
from tests.faults.invariants import assert_invariants
from tests.faults.scene import Scene
from tests.faults.test_death import under_way


@pytest.mark.fault(5)
@pytest.mark.parametrize("executor", ["thread", "process"])
@pytest.mark.parametrize("how", ["sys.exit", "os._exit", "segfault", "kill"])
def test_5_a_task_ends_its_process(scene: Scene, executor: str, how: str) -> None:
    scene.start("worker")
    scene.replaces = True
    gate = scene.gate()
    neighbours = under_way(scene, shelf.through, gate, 2)
    scene.strikes(f"{how} in a {executor}")
    result = scene.enqueue(shelf.die.using(executor=executor), how)
    scene.wait_for_entries(len(neighbours) + 1, "start")
    gate.open()  # a neighbour that is executed alone would keep it waiting
    run = scene.wait_until(result, "failed", timeout=120)
    scene.recovers("its run has failed")
    error = run.errors[-1]["exception_class_path"].rpartition(".")[2]
    if how == "sys.exit":
        assert (error, run.attempts) == ("SystemExit", 1)
    else:
        assert error in ("TaskCrashed", "TaskPoisoned")
        words = {"os._exit": "exit code 1", "segfault": "SIGSEGV", "kill": "SIGKILL"}
        assert words[how] in "".join(entry["traceback"] for entry in run.errors)
    for neighbour in neighbours:
        assert scene.wait_until(neighbour, "successful").errors == []
    scene.sees(f"{how}: {error}")
    assert_invariants(scene, crashes=4)


@pytest.mark.fault(6)
def test_6_a_task_kills_its_process_every_time(scene: Scene) -> None:
    scene.start("worker")
    scene.replaces = True
    gate = scene.gate()
    neighbours = under_way(scene, shelf.through, gate, 3)
    pill = scene.enqueue(shelf.die, "kill")
    scene.wait_for_entries(1, "start", pill)
    scene.strikes("a task kills whatever process executes it")
    gate.open()
    others = scene.enqueue_many(shelf.quick, [()] * 20)
    for result in [*neighbours, *others]:
        assert scene.wait_until(result, "successful", timeout=120).errors == []
    run = scene.wait_until(pill, "failed", timeout=120)
    scene.recovers("it has failed, and all others have ended")
    assert run.errors[-1]["exception_class_path"] == "taskworks.exceptions.TaskPoisoned"
    assert len(scene.ledger.entries("start", pill.id)) == 4
    scene.sees(
        "started 4 times, 3 of them alone, then failed with TaskPoisoned; "
        "23 runs beside it successful"
    )
    assert_invariants(scene, crashes=4)
