"""``result.retry()``: a failed or cancelled run is run again, under its id."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync

from taskworks import TaskContext, TaskResult, TaskResultStatus, task, task_backends
from taskworks.models import RunState, TaskRun
from taskworks.store import store
from tests import tasks
from tests.behavior import database_now, executed, rewrite, run_of

pytestmark = pytest.mark.django_db(transaction=True)

READY, FAILED = TaskResultStatus.READY, TaskResultStatus.FAILED
Act = Callable[[TaskResult], bool]


@task(takes_context=True)
def fail_until(context: TaskContext, attempt: int) -> int:
    context.set_target(10)
    context.set_progress(5)
    context.add_message(f"attempt {context.attempt}")
    context.metadata["attempt"] = context.attempt
    context.save_metadata()
    if context.attempt < attempt:
        raise ValueError
    return context.attempt


@pytest.fixture(params=["result", "result, async", "backend"])
def retry(request: pytest.FixtureRequest) -> Act:
    """Every way to retry a run."""

    def retry(result: TaskResult) -> bool:
        match request.param:
            case "result":
                return result.retry()
            case "result, async":
                return async_to_sync(result.aretry)()
        retried: bool = task_backends[result.backend].retry(result.id)
        result.refresh()
        return retried

    return retry


class TestAFailedRun:
    def test_is_ready_again(self, retry: Act) -> None:
        result = executed(fail_until.enqueue(2))
        assert retry(result) is True
        run = run_of(result)
        assert (result.status, run.state, run.failures) == (READY, RunState.READY, 0)
        assert (result.finished_at, run.claimed_by, run.claim_token) == (None, None, None)
        assert run.available_at >= run.last_attempted_at

    def test_is_run_under_its_id(self, retry: Act) -> None:
        result = executed(fail_until.enqueue(2))
        retry(result)
        executed(result)
        assert (result.return_value, result.attempts) == (2, 2)
        assert [str(run.id) for run in TaskRun.objects.all()] == [result.id]

    def test_keeps_its_errors_and_its_history(self, retry: Act) -> None:
        result = executed(fail_until.enqueue(3))
        errors, started_at, workers = result.errors, result.started_at, result.worker_ids
        retry(result)
        assert (result.errors, result.started_at, result.worker_ids) == (
            errors,
            started_at,
            workers,
        )
        executed(result)
        assert (result.status, len(result.errors), result.attempts) == (FAILED, 2, 2)
        assert [entry["attempt"] for entry in run_of(result).errors] == [1, 2]
        assert result.started_at == started_at
        assert len(result.worker_ids) == 2

    def test_has_all_its_attempts_again(self, retry: Act) -> None:
        result = executed(fail_until.using(max_attempts=2, backoff=0).enqueue(4))
        assert (result.status, result.attempts) == (FAILED, 2)
        retry(result)
        executed(result)
        assert (result.return_value, result.attempts, len(result.errors)) == (4, 4, 3)

    def test_keeps_messages_and_metadata_and_begins_its_progress_anew(self, retry: Act) -> None:
        result = executed(fail_until.enqueue(2))
        assert (result.target, result.progress) == (10, 5)
        retry(result)
        assert (result.target, result.progress) == (None, None)
        assert [message.text for message in result.messages] == ["attempt 1"]
        assert result.metadata == {"attempt": 1}

    def test_keeps_its_options(self, retry: Act) -> None:
        changed = fail_until.using(priority=5, queue_name="mail", timeout=60, max_attempts=2)
        result = executed(changed.using(backoff=0).enqueue(9))
        retry(result)
        run = run_of(result)
        assert (run.priority, run.queue_name, run.options["timeout"]) == (5, "mail", 60)

    def test_may_be_retried_again_and_again(self, retry: Act) -> None:
        result = executed(tasks.fail.enqueue())
        for attempt in range(2, 5):
            assert retry(result)
            assert executed(result).attempts == attempt

    def test_is_retried_once_at_a_time(self, retry: Act) -> None:
        result = executed(fail_until.enqueue(2))
        assert retry(result)
        assert retry(result) is False


class TestACancelledRun:
    def test_is_ready_again(self, retry: Act) -> None:
        result = tasks.add.enqueue(1, 2)
        result.cancel()
        assert retry(result) is True
        assert (result.status, result.is_cancelled, result.cancel_requested) == (
            READY,
            False,
            False,
        )
        assert len(result.errors) == 1
        assert executed(result).return_value == 3

    def test_no_longer_waits_for_its_time(self, retry: Act) -> None:
        result = tasks.add.using(run_after=timedelta(hours=1)).enqueue(1, 2)
        result.cancel()
        retry(result)
        assert executed(result).return_value == 3

    def test_may_be_cancelled_again(self, retry: Act) -> None:
        result = tasks.noop.enqueue()
        for count in (1, 2):
            assert result.cancel()
            assert len(result.errors) == count
            retry(result)


@pytest.mark.parametrize("state", ["scheduled", "ready", "claimed", "running", "successful"])
def test_no_other_run_is_retried(retry: Act, state: str) -> None:
    result = tasks.noop.enqueue()
    rewrite(result, state=state)
    before = TaskRun.objects.values().get()
    assert retry(result) is False
    assert TaskRun.objects.values().get() == before


def test_a_retried_run_waits_behind_what_is_ready(retry: Act) -> None:
    result = executed(tasks.fail.enqueue())
    other = tasks.noop.enqueue()
    retry(result)
    order = [str(run.id) for run in TaskRun.objects.order_by("rank", "available_at", "id")]
    assert order == [other.id, result.id]


def test_a_run_whose_code_came_back_has_its_ten_minutes_again(retry: Act) -> None:
    result = tasks.noop.enqueue()
    rewrite(result, task_path="nowhere.task", missing_since=database_now() - timedelta(hours=1))
    assert executed(result).status is FAILED
    retry(result)
    executed(result)
    assert run_of(result).state == RunState.SCHEDULED
    assert run_of(result).missing_since > store().read_clock() - timedelta(minutes=1)
