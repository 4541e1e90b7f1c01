"""A run that is executed is stopped soon after somebody has cancelled it."""

import pytest

from taskworks import Task
from tests.stopping import shelf
from tests.stopping.runs import cancelled_within, error_of, run_of, wait_until, working

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    "task", [shelf.spin, shelf.spin_and_catch, shelf.spin_until_asked, shelf.await_for_ever]
)
def test_python_is_stopped_within_a_second(task: Task) -> None:
    with working():
        result = task.enqueue()
        assert cancelled_within(result, 5) < 1
        after = shelf.sleep_briefly.enqueue(0)
        wait_until(after, "successful")
    run = run_of(result)
    assert (error_of(run), run.attempts, len(run.errors)) == ("TaskCancelled", 1, 1)


@pytest.mark.parametrize("task", [shelf.sleep_for_ever, shelf.hold_the_interpreter, shelf.spin])
def test_a_process_is_stopped_within_two_seconds_whatever_it_does(task: Task) -> None:
    with working(task_processes=1):
        wait_until(shelf.pid.using(executor="process").enqueue(), "successful")
        result = task.using(executor="process").enqueue()
        assert cancelled_within(result, 10) < 2
        wait_until(shelf.pid.using(executor="process").enqueue(), "successful")
    assert error_of(run_of(result)) == "TaskCancelled"


def test_success_stands_and_a_failure_does_not() -> None:
    with working():
        seen, failing = shelf.heed.enqueue(), shelf.fail_while_it_is_stopped.enqueue()
        failing_async = shelf.fail_while_it_is_stopped_async.enqueue()
        for result in (seen, failing, failing_async):
            wait_until(result, "running")
            assert result.cancel()
        assert wait_until(seen, "successful").return_value == "seen"
        for result in (failing, failing_async):
            assert error_of(wait_until(result, "cancelled")) == "TaskCancelled"


def test_a_child_process_is_told_too_even_while_it_is_started() -> None:
    with working(task_processes=1):
        early = shelf.heed.using(executor="process").enqueue()
        wait_until(early, "claimed")
        assert early.cancel()
        wait_until(early, "cancelled", "successful")
        late = shelf.heed.using(executor="process").enqueue()
        wait_until(late, "running")
        assert late.cancel()
        assert wait_until(late, "successful").return_value == "seen"


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_cancel_wins_over_retry(executor: str) -> None:
    with working():
        result = shelf.spin.using(max_attempts=5, backoff=0, executor=executor).enqueue()
        cancelled_within(result, 10)
        wait_until(shelf.sleep_briefly.enqueue(0), "successful")
    assert (run_of(result).state, run_of(result).attempts) == ("cancelled", 1)
