"""Steps, sleeps and events that cannot be, and code that changes between two attempts."""

from typing import Any

import pytest

from taskworks import Task, TaskResult
from taskworks.exceptions import TaskResultDoesNotExist
from taskworks.models import Event, RunState, StepRecord, TaskRun
from taskworks.steps import steps as steps_module
from taskworks.store import stepping
from tests.behavior import executed, run_of, run_worker
from tests.steps import bad, shelf
from tests.steps.clock import later_by

pytestmark = pytest.mark.django_db(transaction=True)


def error_of(result: TaskResult) -> str:
    run_worker()
    run = run_of(result)
    assert run.state == RunState.FAILED
    assert len(run.errors) == 1
    return str(run.errors[0]["traceback"])


@pytest.mark.parametrize("task", [bad.returns, bad.returns_async])
def test_a_value_that_cannot_be_recorded_fails_the_run_at_once(task: Task[Any, Any]) -> None:
    results = {value: task.enqueue(value) for value in bad.BAD_VALUES}
    run_worker()
    for value, result in results.items():
        run = run_of(result)
        assert (run.state, run.failures) == (RunState.FAILED, 1), value
        [error] = run.errors
        assert error["exception_class_path"] == "taskworks.exceptions.InvalidStepValue"
        assert (
            "The step 'gives' was executed, but its value cannot be recorded: "
            in (error["traceback"])
        )
    assert shelf.done == ["gives"] * len(results)
    assert not StepRecord.objects.exists()


@pytest.mark.parametrize("method", ["step", "sleep", "wait"])
def test_names(method: str) -> None:
    results = [bad.names.enqueue(method, name) for name in bad.BAD_NAMES]
    run_worker()
    for result in results:
        assert "The name of a step or an event must be" in run_of(result).errors[0]["traceback"]
    assert shelf.done == []
    assert not Event.objects.exists()


@pytest.mark.parametrize("name", bad.BAD_NAMES.values(), ids=bad.BAD_NAMES)
def test_names_of_events_that_are_sent(name: Any) -> None:
    result = shelf.waits.enqueue()
    with pytest.raises((TypeError, ValueError), match="The name of a step or an event must be"):
        result.send(name, 1)


@pytest.mark.parametrize("value", bad.BAD_VALUES.values(), ids=bad.BAD_VALUES)
def test_values_of_events(value: Any) -> None:
    result = shelf.waits.enqueue()
    with pytest.raises((TypeError, ValueError), match="the value of event 'approved'"):
        result.send("approved", value)
    assert not Event.objects.exists()


def test_an_event_to_a_run_that_is_gone() -> None:
    result = shelf.waits.enqueue()
    TaskRun.objects.all().delete()
    with pytest.raises(TaskResultDoesNotExist):
        result.send("approved")
    assert not Event.objects.exists()


@pytest.mark.parametrize("first", ["step", "sleep", "wait"])
@pytest.mark.parametrize("second", ["step", "sleep", "wait"])
def test_a_name_is_used_once_in_an_attempt(first: str, second: str) -> None:
    error = error_of(bad.twice.enqueue(first, second))
    assert "The name 'same' is used twice in one attempt." in error


def test_a_step_that_raised_may_be_tried_again() -> None:
    assert executed(bad.again_after_an_error.enqueue()).return_value == 0
    assert shelf.done == ["tries", "tries"]


def test_code_that_changes_between_attempts() -> None:
    new, kept, error = executed(bad.changes.enqueue()).return_value
    assert (new, kept) == (2, 1)
    assert error.startswith("An earlier attempt has recorded 'other kind' as a step, and now it is")


@pytest.mark.parametrize("method", ["step", "sleep", "wait"])
@pytest.mark.parametrize("task", [bad.in_a_transaction, bad.in_its_transaction])
def test_in_a_transaction(task: Task[Any, Any], method: str) -> None:
    error = error_of(task.enqueue(method))
    assert f"{method}('a') cannot be used in" in error
    assert shelf.done == []
    assert not StepRecord.objects.exists()


def test_coroutines_in_functions() -> None:
    hidden, open_ = (bad.calls_a_coroutine.enqueue(hidden=hidden) for hidden in (True, False))
    run_worker()
    assert "Use await context.astep" in run_of(hidden).errors[0]["traceback"]
    assert "Use await context.astep" in run_of(open_).errors[0]["traceback"]
    assert "Django's transactions need a function" in error_of(bad.atomic_coroutine.enqueue())
    assert shelf.done == []


@pytest.mark.parametrize("method", ["step", "sleep", "wait"])
def test_a_coroutine_function_awaits(method: str) -> None:
    error = error_of(bad.blocks_the_loop.enqueue(method))
    assert f"{method}('a') would block the event loop" in error
    assert shelf.done == []


def test_a_run_has_a_bounded_number_of_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepping, "MAX_STEPS", 2)
    result = shelf.waits.enqueue()
    assert result.send("a")
    assert result.send("b")
    with pytest.raises(ValueError, match="has 2 events, and gets no more"):
        result.send("c")


@pytest.mark.parametrize("duration", [-1, "5", None, 1e12])
def test_durations(duration: Any) -> None:
    assert "duration must be seconds or a timedelta" in error_of(bad.sleeps_badly.enqueue(duration))


def test_except_exception_catches_neither_a_sleep_nor_a_wait() -> None:
    result = bad.compensates.enqueue()
    run_worker()
    assert run_of(result).state == RunState.SCHEDULED
    with later_by(4000):
        run_worker()
        assert run_of(result).state == RunState.SCHEDULED
    with later_by(9000):
        assert executed(result).return_value == "done"
    assert shelf.done == ["book"]


def test_steps_in_threads_of_the_task() -> None:
    names = sorted(f"part {n}" for n in range(5))
    assert executed(bad.steps_in_threads.enqueue(5)).return_value == names
    assert sorted(StepRecord.objects.values_list("name", flat=True)) == names


def test_a_run_has_a_bounded_number_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps_module, "MAX_STEPS", 3)
    result = shelf.gathered.enqueue(4)
    run_worker()
    assert "A run has at most 3 steps, sleeps and events" in run_of(result).errors[0]["traceback"]
    assert StepRecord.objects.count() == 3


@pytest.mark.parametrize("backend", ["immediate", "dummy"])
def test_backends_that_store_no_runs(settings: Any, backend: str) -> None:
    path = f"taskworks.backends.{backend}.{backend.title()}Backend"
    settings.TASKS = {"default": {"BACKEND": path}}
    result = shelf.two_steps.enqueue()
    if backend == "immediate":
        assert result.return_value == ["first", "second"]
        slept = shelf.sleeps.enqueue(5)
        assert "sleep('nap') needs a backend that stores runs" in slept.errors[0].traceback
    with pytest.raises(NotImplementedError, match="cannot send events to runs"):
        result.send("approved")
