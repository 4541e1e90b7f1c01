"""Steps that are one transaction with their record, and attempts that are no longer the run's."""

import asyncio
import threading
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from taskworks import TaskContext, TaskResult, current_context, task, task_backends
from taskworks.duties.rescue import rescue
from taskworks.exceptions import TaskLost
from taskworks.models import FAR_FUTURE, RunState, StepRecord, TaskRun, UniqueKey, Worker
from taskworks.store import store
from taskworks.testing.running import Runner
from taskworks.worker.claiming.queues import Queues
from tests.behavior import executed, run_of, run_worker
from tests.connections import begin_elsewhere
from tests.steps import shelf

pytestmark = pytest.mark.django_db(transaction=True)


def rows() -> int:
    return UniqueKey.objects.count()


@pytest.mark.parametrize("atomic", [True, False])
def test_what_an_atomic_step_wrote_goes_if_it_raises(*, atomic: bool) -> None:
    shelf.broken.add("write")
    result = shelf.writes.enqueue(atomic=atomic)
    run_worker()
    assert run_of(result).state == RunState.FAILED
    assert rows() == (0 if atomic else 3)
    shelf.broken.clear()
    result.retry()
    assert executed(result).return_value == "written"
    assert rows() == (1 if atomic else 4)


class Gates:
    """Where a zombie waits until its run is another worker's."""

    def __init__(self) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.caught: list[BaseException] = []


gates = Gates()


@task(takes_context=True)
def zombie(context: TaskContext, *, atomic: bool) -> str:
    if "rescued" in shelf.done:
        return "by another attempt"

    def write() -> None:
        UniqueKey.objects.create(key=uuid4(), run=uuid4())
        gates.reached.set()
        if not atomic or connection.vendor != "sqlite":  # there, nobody else writes now
            gates.go_on.wait(60)

    for name, call in {"write": write, "next": lambda: shelf.act("next")}.items():
        try:
            context.step(name, call, atomic=atomic)
        except TaskLost as lost:
            gates.caught.append(lost)
    return "by the zombie"


@task(takes_context=True)
async def async_zombie(context: TaskContext) -> None:
    assert current_context() is context

    async def act() -> None:
        gates.reached.set()
        while not gates.go_on.is_set():
            await asyncio.sleep(0.01)

    for name, call in {"write": act, "next": lambda: shelf.act("next")}.items():
        try:
            await context.astep(name, call)
        except TaskLost as lost:
            gates.caught.append(lost)


def _work() -> None:
    """Execute a run as a worker that has no heartbeat, and so never learns that it was given up."""
    runner = Runner(task_backends["default"], Queues())
    with runner.registered():
        run = runner.claim()
        assert run
        runner.execute(run)


def _take_away(result: TaskResult) -> None:
    """Rescue the run from the worker, as if that had been silent for too long."""
    working = begin_elsewhere(_work)
    gates.reached.wait(60)
    [worker] = Worker.objects.values_list("id", flat=True)
    store().give_up_dead(worker)
    assert rescue(store()) == 1
    # Nobody claims it for now.
    TaskRun.objects.filter(id=result.id).update(state="scheduled", available_at=FAR_FUTURE)
    gates.go_on.set()
    working.result(timeout=60)
    assert len(gates.caught) == 2


@pytest.mark.parametrize("kind", ["function", "coroutine"])
def test_a_zombie_records_nothing_and_executes_no_other_step(kind: str) -> None:
    gates.__init__()  # type: ignore[misc]
    result = zombie.enqueue(atomic=False) if kind == "function" else async_zombie.enqueue()
    _take_away(result)
    assert all("is no longer this worker's" in str(lost) for lost in gates.caught)
    assert shelf.done == []
    assert not StepRecord.objects.exists()
    assert run_of(result).state == RunState.SCHEDULED


def test_an_atomic_step_of_a_zombie_has_written_nothing() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("On SQLite nobody can rescue the run while the step has the write lock.")
    gates.__init__()  # type: ignore[misc]
    result = zombie.enqueue(atomic=True)
    _take_away(result)
    assert rows() == 0
    assert shelf.done == []


def test_keys_of_steps() -> None:
    result = keys.enqueue()
    first: Any = executed(result).return_value
    assert first["charge"] != first["refund"]
    assert {len(key) for key in first.values()} == {36}
    TaskRun.objects.update(state="failed")
    result.retry()
    assert executed(result).return_value == first
    assert executed(keys.enqueue()).return_value["charge"] != first["charge"]


@task(takes_context=True)
def keys(context: TaskContext) -> dict[str, str]:
    return {name: context.step_key(name) for name in ("charge", "refund")}
