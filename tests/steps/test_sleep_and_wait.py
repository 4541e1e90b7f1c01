"""Sleeps and waits: the attempt ends, and no worker has the run until then."""

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from taskworks import Task, TaskResult, wait_for
from taskworks.models import Event, RunState, StepRecord, TaskRun
from tests.behavior import executed, run_of, run_worker
from tests.steps import shelf
from tests.steps.clock import later_by

pytestmark = pytest.mark.django_db(transaction=True)

DAY = 86_400.0
WAITING_TASKS = [shelf.waits, shelf.waits_async, shelf.waits_in_a_process]


@pytest.mark.parametrize("task", [shelf.sleeps, shelf.sleeps_async])
def test_a_sleep_of_days_takes_no_worker_and_no_attempt(task: Task[Any, Any]) -> None:
    result = task.enqueue(3 * DAY)
    run_worker()
    run = run_of(result)
    assert run.state == RunState.SCHEDULED
    assert (run.attempts, run.failures, run.errors) == (0, 0, [])
    nap = StepRecord.objects.get(name="nap")
    assert timedelta() <= run.available_at - nap.ended_at < timedelta(seconds=30)
    assert shelf.done == ["before"]
    with later_by(3 * DAY - 3600):
        run_worker()
    assert shelf.done == ["before"]
    with later_by(3 * DAY + 60):
        assert executed(result).return_value == "awake"
    assert shelf.done == ["before", "after"]
    assert run_of(result).attempts == 1


def test_an_early_attempt_sleeps_on() -> None:
    result = shelf.sleeps.enqueue(3 * DAY)
    run_worker()
    nap = StepRecord.objects.get(name="nap").ended_at
    TaskRun.objects.update(state="ready")
    run_worker()
    assert run_of(result).state == RunState.SCHEDULED
    assert abs(run_of(result).available_at - nap) < timedelta(seconds=30)
    assert StepRecord.objects.get(name="nap").ended_at == nap
    assert shelf.done == ["before"]


@pytest.mark.parametrize(
    ("task", "value"),
    [
        (shelf.waits, {"by": "anna"}),
        (shelf.waits, None),
        (shelf.waits_async, []),
        (shelf.waits_in_a_process, "x"),
    ],
)
def test_an_event_that_is_sent_while_the_run_waits(task: Task[Any, Any], value: Any) -> None:
    result = task.enqueue()
    run_worker()
    assert run_of(result).state == RunState.SCHEDULED
    assert run_of(result).attempts == 0
    run_worker()
    assert run_of(result).state == RunState.SCHEDULED
    assert result.send("approved", value) is True
    assert run_of(result).state == RunState.READY
    assert executed(result).return_value == [value]


@pytest.mark.parametrize("task", [shelf.waits, shelf.waits_async])
def test_an_event_that_is_sent_before_anybody_waits(task: Task[Any, Any]) -> None:
    result = task.enqueue()
    assert async_to_sync(result.asend)("approved", 5) is True
    assert executed(result).return_value == [5]


@pytest.mark.parametrize("task", WAITING_TASKS)
def test_the_timeout_is_recorded(task: Task[Any, Any]) -> None:
    result = task.enqueue(timeout=DAY)
    run_worker()
    assert run_of(result).state == RunState.SCHEDULED
    with later_by(DAY + 60):
        assert executed(result).return_value == "nothing"
        assert result.send("approved", 1) is False
    event = Event.objects.get()
    assert (event.is_sent, event.value) == (False, None)
    assert event.ended_at


def test_none_sent_is_no_timeout_and_each_wait_keeps_what_it_was() -> None:
    """Case 34: two waits in a loop, one of them timed out, a payload that is null."""
    result = shelf.waits_in_a_loop.enqueue(["a", "b", "c"], timeout=DAY)
    result.send("c", None)
    run_worker()
    with later_by(DAY + 60):
        run_worker()  # "a" has timed out, and "b" is waited for
        assert run_of(result).state == RunState.SCHEDULED
        assert result.send("a", "late") is False
        assert result.send("b", "in time") is True
        assert executed(result).return_value == ["nothing", ["in time"], [None]]


def test_the_first_of_two_events_with_one_name_counts() -> None:
    result = shelf.waits.enqueue()
    assert result.send("approved", 1) is True
    assert result.send("approved", 2) is False
    assert executed(result).return_value == [1]
    assert result.send("approved", 3) is False
    assert result.send("never asked for", 3) is False
    assert Event.objects.count() == 1


def test_an_event_that_nobody_waits_for_changes_nothing() -> None:
    result = shelf.waits.enqueue()
    run_worker()
    assert result.send("aproved", 1) is True
    assert run_of(result).state == RunState.SCHEDULED
    result.send("approved", 2)
    assert executed(result).return_value == [2]


def test_a_failed_run_may_get_its_event_and_is_retried() -> None:
    shelf.broken.add("after")
    result = shelf.waits.enqueue()
    result.send("approved", 1)
    run_worker()
    assert run_of(result).state == RunState.FAILED
    assert result.send("approved", 2) is False
    shelf.broken.clear()
    result.retry()
    assert executed(result).return_value == [1]
    assert shelf.done == ["before", "after", "after"]


def test_a_fresh_retry_forgets_steps_and_events() -> None:
    shelf.broken.add("after")
    result = shelf.waits.enqueue()
    result.send("approved", 1)
    run_worker()
    shelf.broken.clear()
    assert result.retry(fresh=True) is True
    assert not StepRecord.objects.exists()
    assert not Event.objects.exists()
    run_worker()
    assert run_of(result).state == RunState.SCHEDULED
    assert shelf.done == ["before", "after", "before"]
    assert result.retry(fresh=True) is False
    assert StepRecord.objects.count() == 1


@pytest.mark.parametrize("task", [shelf.waits_for_both, shelf.waits_in_a_group])
def test_of_several_waits_at_once_the_first_to_end_is_noticed(task: Task[Any, Any]) -> None:
    result = task.enqueue({"a": 3 * DAY, "b": DAY})
    run_worker()
    assert run_of(result).state == RunState.SCHEDULED
    with later_by(DAY + 60):
        run_worker()
        assert Event.objects.get(name="b").ended_at
        assert run_of(result).state == RunState.SCHEDULED
        assert result.send("a", "late but in time")
        assert executed(result).return_value == [["late but in time"], "nothing"]


def test_events_reach_a_worker_that_is_there(worker: None) -> None:
    waiting = [shelf.waits.enqueue() for _ in range(5)]
    _all_wait(waiting)
    for number, result in enumerate(waiting):
        assert result.send("approved", number)
    wait_for(waiting, timeout=60)
    assert [result.return_value for result in waiting] == [[number] for number in range(5)]


def _all_wait(results: list[TaskResult]) -> None:
    from tests.waiting import wait_for as wait_until

    wait_until(
        lambda: TaskRun.objects.filter(state="scheduled").count() == len(results), "all wait"
    )
