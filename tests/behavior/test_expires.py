"""``expires``: a run that has waited too long is not executed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from taskworks import Snooze, TaskContext, TaskExpired, TaskResult, TaskResultStatus, task
from taskworks.models import RunState
from taskworks.signals import task_cancelled, task_finished, task_retried, task_started
from taskworks.store import store
from tests import tasks
from tests.behavior import (
    DATABASE_BACKEND,
    Settings,
    database_now,
    executed,
    received,
    rewrite,
    run_of,
)

pytestmark = pytest.mark.django_db(transaction=True)

FAILED, SUCCESSFUL = TaskResultStatus.FAILED, TaskResultStatus.SUCCESSFUL
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


@task(takes_context=True, expires=3600)
def fail_first(context: TaskContext) -> int:
    if context.attempt == 1:
        raise ValueError
    return context.attempt


@task(expires=3600)
def snooze_for_a_day() -> None:
    raise Snooze("early", after=timedelta(days=1))


@task(expires=60)
def within_a_minute() -> None: ...


def expired(result: TaskResult, *arguments: str) -> TaskResult:
    """The result after a worker came too late."""
    rewrite(result, expires_at=database_now() - SECOND)
    return executed(result, *arguments)


class TestARunThatHasExpired:
    def test_is_not_executed(self, tmp_path: Path) -> None:
        path = tmp_path / "note"
        result = expired(tasks.note.using(expires=HOUR).enqueue(str(path), "executed"))
        assert not path.exists()
        assert (result.status, result.attempts, result.worker_ids) == (FAILED, 0, [])
        assert (result.started_at, result.last_attempted_at) == (None, None)
        assert result.finished_at is not None

    def test_says_why(self) -> None:
        result = expired(within_a_minute.enqueue())
        [error] = result.errors
        assert error.exception_class is TaskExpired
        assert "The run waited for a worker until 20" in error.traceback
        [entry] = run_of(result).errors
        assert entry["attempt"] == 0

    def test_is_not_tried_again(self) -> None:
        result = expired(within_a_minute.using(max_attempts=5, backoff=0).enqueue())
        assert (result.status, len(result.errors)) == (FAILED, 1)

    @pytest.mark.parametrize(
        "made", [tasks.add, tasks.add_async, tasks.add.using(executor="process")]
    )
    def test_ends_so_for_every_executor(self, made: Any) -> None:
        result = expired(made.using(expires=5).enqueue(1, 2), "--task-processes", "1")
        assert result.errors[0].exception_class is TaskExpired

    def test_sends_that_it_finished_and_not_that_it_started(self) -> None:
        result = within_a_minute.enqueue()
        with (
            received(task_started) as started,
            received(task_finished) as finished,
            received(task_retried) as retried,
            received(task_cancelled) as cancelled,
        ):
            expired(result)
        assert [signal["task_result"].id for signal in finished] == [result.id]
        assert started == retried == cancelled == []

    def test_may_be_retried_by_a_person(self) -> None:
        result = expired(within_a_minute.enqueue())
        assert result.retry()
        assert executed(result).status is SUCCESSFUL


class TestTheTime:
    @pytest.mark.parametrize("given", [60, 60.0, timedelta(minutes=1)])
    def test_counts_from_the_enqueueing(self, given: Any) -> None:
        run = run_of(tasks.noop.using(expires=given).enqueue())
        assert run.expires_at == run.enqueued_at + timedelta(minutes=1)

    def test_is_the_definitions(self) -> None:
        run = run_of(within_a_minute.enqueue())
        assert run.expires_at == run.enqueued_at + timedelta(minutes=1)

    def test_is_unlimited_unless_it_is_said(self) -> None:
        assert run_of(tasks.noop.enqueue()).expires_at is None
        assert run_of(within_a_minute.using(expires=float("inf")).enqueue()).expires_at is None

    @pytest.mark.parametrize("relative", [True, False])
    def test_counts_from_run_after(self, relative: bool) -> None:
        run_after = HOUR if relative else store().read_clock() + HOUR
        run = run_of(tasks.noop.using(expires=60, run_after=run_after).enqueue())
        assert run.expires_at == run.available_at + timedelta(minutes=1)
        assert run.available_at > run.enqueued_at + HOUR - timedelta(minutes=1)

    def test_counts_from_now_if_run_after_is_over(self) -> None:
        past = datetime(2020, 1, 1, tzinfo=UTC)
        run = run_of(tasks.noop.using(expires=60, run_after=past).enqueue())
        assert run.expires_at == run.enqueued_at + timedelta(minutes=1)

    def test_after_the_end_of_all_times_is_none(self) -> None:
        last = datetime(9999, 12, 1, tzinfo=UTC)
        run = run_of(tasks.noop.using(expires=timedelta(days=365), run_after=last).enqueue())
        assert (run.run_after, run.expires_at) == (last, None)

    def test_holds_for_each_of_many(self) -> None:
        results = tasks.noop.using(expires=60, run_after=HOUR).enqueue_many([(1,), (2,)])
        for run in map(run_of, results):
            assert run.expires_at == run.available_at + timedelta(minutes=1)

    def test_may_stand_in_the_settings(self, settings: Settings) -> None:
        settings.TASKS = {
            "default": {
                "BACKEND": DATABASE_BACKEND,
                "QUEUES": [],
                "OPTIONS": {
                    "TASK_DEFAULTS": {"expires": 60},
                    "QUEUE_DEFAULTS": {"mail": {"expires": HOUR}},
                },
            }
        }
        run = run_of(tasks.noop.enqueue())
        assert run.expires_at == run.enqueued_at + timedelta(minutes=1)
        run = run_of(tasks.noop.using(queue_name="mail").enqueue())
        assert run.expires_at == run.enqueued_at + HOUR

    def test_is_a_runs_own(self) -> None:
        result = tasks.noop.using(expires=60).enqueue()
        assert tasks.noop.get_result(result.id).task == result.task


def test_a_run_in_time_is_executed() -> None:
    assert executed(within_a_minute.enqueue()).status is SUCCESSFUL


def test_a_retry_does_not_expire() -> None:
    result = executed(fail_first.using(max_attempts=2, backoff=7200).enqueue())
    rewrite(result, available_at=database_now())
    expired(result)
    assert (result.status, result.return_value) == (SUCCESSFUL, 2)


def test_a_run_that_a_crash_ended_does_not_expire() -> None:
    result = within_a_minute.enqueue()
    rewrite(result, started_at=database_now(), attempts=1, worker_ids=["gone"])
    assert expired(result).status is SUCCESSFUL


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_a_run_that_was_snoozed_waits_anew_from_when_it_is_due(executor: str) -> None:
    result = executed(snooze_for_a_day.using(executor=executor).enqueue())
    run = run_of(result)
    assert run.state == RunState.SCHEDULED
    assert run.available_at > run.enqueued_at + 23 * HOUR
    assert run.expires_at == run.available_at + HOUR
    rewrite(result, available_at=database_now())
    assert expired(result).errors[0].exception_class is TaskExpired


def test_a_snooze_gives_no_time_to_a_run_that_has_no_limit() -> None:
    result = executed(snooze_for_a_day.using(expires=float("inf")).enqueue())
    assert (run_of(result).state, run_of(result).expires_at) == (RunState.SCHEDULED, None)


def test_a_retry_by_a_person_knows_no_expiry() -> None:
    result = executed(fail_first.enqueue())
    rewrite(result, expires_at=database_now() - SECOND, started_at=None)
    assert result.retry()
    assert run_of(result).expires_at is None
    assert executed(result).status is SUCCESSFUL
