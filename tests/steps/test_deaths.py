"""Whoever sends an event or suspends a run may be killed by ``kill -9`` before any statement."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from taskworks.duties.rescue import rescue
from taskworks.models import TaskRun, Worker
from taskworks.store import Store
from taskworks.store import store as store_of
from tests.behavior import executed
from tests.connections import wait_until_the_dead_are_gone
from tests.faults.workers import where_the_database_is
from tests.steps import shelf
from tests.steps.dying import suspend

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.not_every_day]

ROOT = Path(__file__).parent.parent.parent
MOST_STATEMENTS = 20


def killed_before(number: int, role: str, run: TaskRun) -> bool:
    """Whether the process was killed before this statement, or had none with this number."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.steps.dying", role, str(run.id), str(number)],
        cwd=ROOT,
        env={**environment, **where_the_database_is()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            said = process.stdout.readline()
        finally:
            process.kill()
    assert said in ("here\n", "done\n")
    wait_until_the_dead_are_gone()
    return said == "here\n"


def waiting(store: Store, worker: UUID, role: str) -> TaskRun:
    """A run that waits for an event. The worker has not put it back yet if that is its role."""
    shelf.waits.enqueue()
    [run] = store.claim(worker, "default", ["default"], {"thread": 1})
    assert not store.await_event(run, "approved", None, is_known=False).has_ended
    if role == "sender":
        suspend(store, run)
    return run


@pytest.mark.parametrize("role", ["sender", "worker"])
def test_the_run_gets_its_event_all_the_same(role: str) -> None:
    store, statements = store_of(), 0
    for number in range(MOST_STATEMENTS):
        worker = Worker(id=uuid4(), label="of a test", hostname="here", pid=1)
        store.register(worker)
        run = waiting(store, worker.id, role)
        is_killed = killed_before(number, role, run)
        result = shelf.waits.get_result(str(run.id))
        first = result.send("approved", 2)
        if role == "worker":
            assert first
        store.give_up_dead(worker.id)
        rescue(store)
        assert executed(result).return_value in ([1], [2])
        if not is_killed:
            break
        statements += 1
    assert 1 < statements < MOST_STATEMENTS - 1
