"""A worker that dies by ``kill -9`` before any statement of parking and freeing strands no run."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from taskworks.duties.unblock import unblock_all
from taskworks.execution import Attempt, Parked, settle
from taskworks.models import Edge, TaskRun, Worker
from taskworks.models.pause import Scope
from taskworks.store import store
from tests.connections import wait_until_the_dead_are_gone
from tests.faults.workers import where_the_database_is
from tests.new_runs import new_runs

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.not_every_day]

ROOT = Path(__file__).parent.parent.parent
NOOP = Scope("task", "tests.tasks.noop")
MOST = 30  # statements


def dies(what: str, number: int, pause: UUID) -> bool:
    """Whether it has died before the statement with this number; there may be fewer."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.store.dying_in_parking", what, str(number), str(pause)],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            **where_the_database_is(),
        },
        check=False,
        capture_output=True,
        text=True,
    )
    assert process.returncode in (0, -9), process.stderr
    wait_until_the_dead_are_gone()
    return process.returncode == -9


def paused() -> UUID:
    return store().pause(NOOP, until=None, reason="", by="").id


def park_all(pause: UUID) -> None:
    """As the next worker does, after it has rescued what the dead one had."""
    store().workers.update(given_up_at=store().read_clock())
    store().rescue(100)
    TaskRun.objects.update(executor="thread")
    worker = Worker(label="the next", hostname="here", pid=1)
    store().register(worker)
    runs = store().claim(worker.id, "default", ["default"], {"thread": 10})
    for run in runs:
        settle(Attempt(run, "the next"), Parked(pause))
    store().park(runs)


def states() -> set[str]:
    return {*TaskRun.objects.values_list("state", flat=True)}


def test_a_worker_that_dies_while_it_parks() -> None:
    for number in range(MOST):
        TaskRun.objects.all().delete()
        Edge.objects.all().delete()
        store().enqueue(new_runs(5))
        places = [*TaskRun.objects.order_by("id").values_list("id", "available_at")]
        pause = paused()
        has_died = dies("park", number, pause)
        unblock_all(store())
        assert states() <= {"claimed", "blocked"}
        park_all(pause)
        unblock_all(store())
        assert states() == {"blocked"}
        assert Edge.objects.count() == 5
        store().resume(NOOP)
        unblock_all(store())
        assert states() == {"ready"}
        assert not Edge.objects.exists()
        if not has_died:
            assert [*TaskRun.objects.order_by("id").values_list("id", "available_at")] == places
            break
    else:
        pytest.fail(f"It sends {MOST} statements, and more.")
    assert number > 1


def test_a_worker_that_dies_while_it_frees() -> None:
    for number in range(MOST):
        TaskRun.objects.all().delete()
        store().enqueue(new_runs(5))
        places = [*TaskRun.objects.order_by("id").values_list("id", "available_at")]
        pause = paused()
        park_all(pause)
        assert states() == {"blocked"}
        store().resume(NOOP)
        has_died = dies("free", number, pause)
        assert states() <= {"blocked", "ready"}
        unblock_all(store())
        assert [*TaskRun.objects.order_by("id").values_list("id", "available_at")] == places
        assert states() == {"ready"}
        assert not Edge.objects.exists()
        if not has_died:
            break
    else:
        pytest.fail(f"It sends {MOST} statements, and more.")
    assert number > 2
