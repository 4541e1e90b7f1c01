"""Code and tables change while workers work (D)."""

import os
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from taskworks.models import TaskRun, Worker
from taskworks.store import store
from tests.faults import shelf
from tests.faults.invariants import assert_invariants
from tests.faults.pace import PACE
from tests.faults.scene import Scene
from tests.faults.sessions import holding
from tests.new_runs import new_runs, stored

LATE = """
from taskworks import task

@task
def arrive():
    return "here now"
"""


def enqueued(scene: Scene, path: str, *args: Any) -> TaskRun:
    """A run that other code has enqueued."""
    new = new_runs(task_path=path, arguments=[[*args]])
    store().enqueue(new)
    run = stored(new)
    scene.accept([run])
    return run


@pytest.mark.fault(30)
def test_30_columns_are_added_under_load(scene: Scene) -> None:
    scene.start("first", "second")
    before = scene.enqueue_many(shelf.quick, [()] * 200)
    scene.strikes("ALTER TABLE ... ADD COLUMN, in both tables")
    try:
        for table in ("taskworks_taskrun", "taskworks_worker"):
            execute(f"ALTER TABLE {table} ADD COLUMN of_the_future varchar(10) NULL")
        results = [*before, *scene.enqueue_many(shelf.quick, [()] * 200)]
        scene.wait_until_all_ended()
        scene.recovers("all have ended")
    finally:
        for table in ("taskworks_taskrun", "taskworks_worker"):
            execute(f"ALTER TABLE {table} DROP COLUMN of_the_future")
    assert {scene.run(result).state for result in results} == {"successful"}
    assert {scene.run(result).attempts for result in results} == {1}
    scene.sees("400 runs successful, one attempt each, while columns were added and removed")
    assert_invariants(scene)


@pytest.mark.fault(31)
def test_31_the_table_of_runs_is_locked(scene: Scene) -> None:
    workers = scene.start("first", "second")
    gate = scene.gate()
    running = scene.enqueue_many(shelf.through, [(gate,)] * 2)
    scene.wait_for_entries(2, "start")
    ready = scene.enqueue_many(shelf.quick, [()] * 20)
    lives = living()
    with holding(lock_the_table):
        scene.strikes("a migration holds the table")
        gate.open()
        scene.wait_for_entries(2, "end")
        scene.lasts(PACE.worker_timeout)
    scene.ceases("the lock is released")
    scene.wait_until_all_ended()
    scene.recovers("all have ended")
    assert {scene.run(result).state for result in [*running, *ready]} == {"successful"}
    assert {scene.run(result).attempts for result in [*running, *ready]} == {1}
    assert living() == lives
    assert all(worker.is_running for worker in workers)
    scene.sees("22 runs successful, one attempt each; no worker was declared dead")
    assert_invariants(scene)


@pytest.mark.fault(32)
def test_32_code_is_gone_is_late_or_raises(scene: Scene) -> None:
    code = scene.folder / "code"
    code.mkdir()
    (code / "raises_at_import.py").write_text("raise RuntimeError('half of a deploy')")
    patience = {"TASKWORKS_FAULTS_PATIENCE": "6", "PYTHONPATH": path_with(code)}
    worker = scene.worker("worker", **patience)
    scene.throughput = scene.measure()
    scene.strikes("paths that do not import")
    gone = enqueued(scene, "tests.faults.nowhere.gone")
    raises = enqueued(scene, "raises_at_import.task")
    exits = enqueued(scene, "exits_at_import.task")
    (code / "exits_at_import.py").write_text("raise SystemExit(3)")
    late = enqueued(scene, "late_module.arrive")
    others = scene.enqueue_many(shelf.quick, [()] * 10)
    for result in others:
        assert scene.wait_until(result, "successful").attempts == 1
    scene.recovers("others are executed")
    assert scene.wait_until(late, "scheduled").attempts == 0
    (code / "late_module.py").write_text(LATE)
    run = scene.wait_until(late, "successful")
    assert (run.return_value, run.attempts, run.errors) == ("here now", 1, [])
    for lost in (gone, raises, exits):
        run = scene.wait_until(lost, "failed")
        [entry] = run.errors
        assert entry["exception_class_path"] == "taskworks.exceptions.TaskNotFound"
    assert worker.is_running
    scene.sees(
        "the late one executed, the others failed with TaskNotFound, 10 runs beside them executed"
    )
    assert_invariants(scene)


@pytest.mark.fault(33)
def test_33_arguments_do_not_fit_any_more(scene: Scene) -> None:
    [worker] = scene.start("worker")
    scene.strikes("arguments of another signature")
    path = shelf.through.module_path
    misfits = {
        "missing": enqueued(scene, path),
        "extra": enqueued(scene, path, str(scene.gate()), "more"),
        "of another type": enqueued(scene, path, 7.5),
    }
    other = scene.enqueue(shelf.quick)
    scene.wait_until(other, "successful")
    scene.recovers("others are executed")
    for name, misfit in misfits.items():
        run = scene.wait_until(misfit, "failed")
        assert (run.attempts, run.args) == (1, misfit.args), name
        assert run.errors[0]["exception_class_path"] == "builtins.TypeError", name
    assert worker.is_running
    scene.sees(f"{len(misfits)} runs failed with TypeError, and kept their arguments")
    assert_invariants(scene)


def path_with(folder: Path) -> str:
    return os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def living() -> set[str]:
    return {str(row.id) for row in Worker.objects.living()}


def lock_the_table() -> None:
    """On SQLite the transaction is the lock."""
    if connection.vendor == "postgresql":
        execute("LOCK TABLE taskworks_taskrun IN ACCESS EXCLUSIVE MODE")
    elif connection.vendor == "mysql":
        execute("LOCK TABLES taskworks_taskrun WRITE")  # until the connection is closed
