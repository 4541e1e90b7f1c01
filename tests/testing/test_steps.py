"""Tasks with steps under `run_tasks`, in the transaction of a test."""

from datetime import timedelta
from typing import Any

import pytest

from taskworks import Task
from taskworks.models import Event, StepRecord, UniqueKey
from taskworks.testing import clock, run_tasks
from tests.steps import shelf

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _server_s_clock() -> None:
    """Not here: these tests have Python's clock, as those of a project."""
    shelf.done.clear()
    shelf.broken.clear()


@pytest.mark.parametrize("task", [shelf.sleeps, shelf.sleeps_async])
def test_a_sleep_of_three_days(task: Task[Any, Any]) -> None:
    task.enqueue(3 * 86_400)
    run_tasks()
    assert run_tasks() == []
    with clock() as moved:
        moved.advance(days=3)
        [slept] = run_tasks()
    assert slept.return_value == "awake"
    assert slept.attempts == 1
    assert shelf.done == ["before", "after"]


@pytest.mark.parametrize("task", [shelf.waits, shelf.waits_async, shelf.waits_in_a_process])
def test_an_event_that_the_test_sends(task: Task[Any, Any]) -> None:
    result = task.enqueue()
    run_tasks()
    assert result.send("approved", {"by": "anna"})
    [approved] = run_tasks()
    assert approved.return_value == [{"by": "anna"}]


def test_a_timeout() -> None:
    shelf.waits_for_both.enqueue({"a": 60, "b": 120})
    run_tasks()
    with clock() as moved:
        moved.advance(timedelta(seconds=61))
        run_tasks()
        moved.advance(timedelta(seconds=60))
        [timed_out] = run_tasks()
    assert timed_out.return_value == ["nothing", "nothing"]
    assert Event.objects.filter(is_sent=False).count() == 2


@pytest.mark.parametrize("atomic", [True, False])
def test_what_an_atomic_step_wrote_goes_if_it_raises(*, atomic: bool) -> None:
    shelf.broken.add("write")
    shelf.writes.enqueue(atomic=atomic)
    run_tasks(raise_failures=False)
    assert UniqueKey.objects.count() == (0 if atomic else 3)
    assert not StepRecord.objects.exists()


def test_gathered_steps() -> None:
    shelf.gathered.enqueue(20)
    [result] = run_tasks()
    assert result.return_value == [f"page {n}" for n in range(20)]
    assert StepRecord.objects.count() == 20
