"""A run that is executed is stopped soon after somebody has cancelled it."""

from pathlib import Path

import pytest

from taskworks import Task
from taskworks.worker import stopping
from taskworks.worker.pools import processes
from tests.stopping import shelf
from tests.stopping.runs import (
    cancel_under_way,
    error_of,
    run_of,
    wait_for_file,
    wait_until,
    working,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.any_database
def test_a_second_is_enough_to_hear_of_it_to_be_heeded_and_to_be_interrupted() -> None:
    assert stopping.CANCEL_INTERVAL + stopping.CANCEL_NOTICE + 2 * stopping.DEADLINE_INTERVAL < 1
    assert (
        stopping.CANCEL_INTERVAL
        + stopping.CANCEL_NOTICE
        + stopping.KILL_AFTER
        + 2 * stopping.DEADLINE_INTERVAL
        < 2
    )


@pytest.mark.parametrize(
    "task", [shelf.spin, shelf.spin_and_catch, shelf.spin_until_asked, shelf.await_for_ever]
)
def test_python_is_stopped(task: Task) -> None:
    with working():
        result = task.enqueue()
        print(f"cancelled within {cancel_under_way(result):.2f} s")
        after = shelf.sleep_briefly.enqueue(0)
        wait_until(after, "successful")
    run = run_of(result)
    assert (error_of(run), run.attempts, len(run.errors)) == ("TaskCancelled", 1, 1)


@pytest.mark.parametrize("task", [shelf.sleep_for_ever, shelf.hold_the_interpreter, shelf.spin])
def test_a_process_is_stopped_whatever_it_does(task: Task) -> None:
    with working(task_processes=1):
        wait_until(shelf.pid.using(executor="process").enqueue(), "successful")
        result = task.using(executor="process").enqueue()
        print(f"cancelled within {cancel_under_way(result):.2f} s")
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


def test_a_child_process_is_told_too_even_while_it_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    monkeypatch.setattr(processes, "BOOT", f"{wait_for_file(go)}\n{processes.BOOT}")
    with working(task_processes=1):
        early = shelf.heed.using(executor="process").enqueue()
        wait_until(early, "claimed")
        assert early.cancel()
        go.touch()
        wait_until(early, "cancelled", "successful")
        late = shelf.heed.using(executor="process").enqueue()
        wait_until(late, "running")
        assert late.cancel()
        assert wait_until(late, "successful").return_value == "seen"


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_cancel_wins_over_retry(executor: str) -> None:
    with working():
        result = shelf.spin.using(max_attempts=5, backoff=0, executor=executor).enqueue()
        cancel_under_way(result)
        wait_until(shelf.sleep_briefly.enqueue(0), "successful")
    assert (run_of(result).state, run_of(result).attempts) == ("cancelled", 1)
