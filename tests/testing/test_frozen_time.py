"""freezegun and time-machine decide what is due, on every database."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import freezegun
import pytest
import time_machine
from asgiref.sync import async_to_sync
from django.core.management import call_command
from django.utils import timezone

from taskworks import await_for, wait_for
from taskworks.models import TaskRun
from taskworks.store import store
from taskworks.testing import clock, enqueued, run_tasks
from tests import tasks
from tests.behavior import run_of, run_worker
from tests.schedules import bell
from tests.schedules.firing import fire_due, runs_of, scheduled

pytestmark = pytest.mark.usefixtures("database")

HOUR, DAY, TICK = timedelta(hours=1), timedelta(days=1), timedelta(microseconds=1)
NOON = datetime(2050, 6, 1, 12, tzinfo=UTC)
Travel = Callable[[datetime], None]


def with_freezegun(moment: datetime) -> Any:
    return freezegun.freeze_time(moment)


def with_time_machine(moment: datetime) -> Any:
    return time_machine.travel(moment, tick=False)


@pytest.fixture(params=[with_freezegun, with_time_machine])
def travel(request: pytest.FixtureRequest) -> Iterator[Travel]:
    """Time stands still at noon, until it is moved."""
    with request.param(NOON) as frozen:
        yield frozen.move_to


def test_a_run_is_due_when_its_delay_is_over(travel: Travel) -> None:
    result = tasks.noop.using(run_after=DAY).enqueue()
    assert (result.enqueued_at, result.task.run_after) == (NOON, NOON + DAY)
    travel(NOON + DAY - TICK)
    assert run_tasks() == []
    travel(NOON + DAY)
    assert len(run_tasks()) == 1


def test_a_run_is_due_at_its_time(travel: Travel) -> None:
    tasks.noop.using(run_after=timezone.now() + HOUR).enqueue()
    assert run_tasks() == []
    travel(NOON + HOUR)
    assert len(run_tasks()) == 1


def test_a_run_expires(travel: Travel) -> None:
    tasks.noop.using(expires=HOUR).enqueue()
    travel(NOON + HOUR + TICK)
    [result] = run_tasks(raise_failures=False)
    assert result.errors[0].exception_class_path == "taskworks.exceptions.TaskExpired"


def test_an_attempt_is_due_when_the_backoff_is_over(travel: Travel) -> None:
    tasks.fail.using(max_attempts=2, backoff=60).enqueue()
    assert len(run_tasks()) == 1
    assert run_tasks() == []
    travel(NOON + timedelta(seconds=60))
    assert len(run_tasks(raise_failures=False)) == 1


def test_every_time_that_is_written_is_that_of_the_moment(travel: Travel) -> None:
    result = tasks.noop.enqueue()
    [finished] = run_tasks()
    assert {run_of(result).claimed_at, finished.enqueued_at, finished.started_at} == {NOON}
    assert {finished.last_attempted_at, finished.finished_at} == {NOON}
    travel(NOON - DAY)
    assert tasks.noop.enqueue().enqueued_at == NOON - DAY


def test_runs_of_one_moment_are_executed_in_their_order(travel: Travel) -> None:
    ids = [tasks.noop.enqueue().id for _ in range(20)]
    assert [result.id for result in enqueued()] == ids
    assert [result.id for result in run_tasks()] == ids


def test_a_schedule_fires_when_it_is_time(travel: Travel) -> None:
    schedule = scheduled(bell.ring, cron="0 9 * * *", timezone="UTC")
    assert fire_due(store()) == 0
    travel(NOON + DAY)
    assert fire_due(store()) == 1
    [run] = runs_of(schedule)
    assert run.enqueued_at == NOON + DAY


def test_old_runs_are_pruned(travel: Travel) -> None:
    tasks.noop.enqueue()
    run_tasks()
    travel(NOON + 13 * DAY)
    call_command("taskworks", "prune", verbosity=0)
    assert TaskRun.objects.count() == 1
    travel(NOON + 15 * DAY)
    call_command("taskworks", "prune", verbosity=0)
    assert TaskRun.objects.count() == 0


def test_the_kit_s_clock_moves_from_there(travel: Travel) -> None:
    tasks.noop.using(run_after=HOUR).enqueue()
    with clock() as moved:
        moved.advance(HOUR)
        assert moved.now() == NOON + HOUR
        assert len(run_tasks()) == 1
        moved.move_to(NOON)
        assert moved.now() == NOON
    assert timezone.now() == NOON


def test_waiting_counts_real_seconds(travel: Travel) -> None:
    result = tasks.noop.enqueue()
    with pytest.raises(TimeoutError, match=r"within 0\.05 s"):
        wait_for([result], 0.05)


async def wait_a_moment(result: Any) -> None:
    with pytest.raises(TimeoutError, match=r"within 0\.05 s"):
        await result.await_(0.05)
    with pytest.raises(TimeoutError, match=r"within 0\.05 s"):
        await await_for([result], 0.05)


def test_so_does_waiting_in_an_event_loop(travel: Travel) -> None:
    result = tasks.noop.enqueue()
    async_to_sync(wait_a_moment)(result)


@pytest.mark.django_db(transaction=True)
def test_a_worker_goes_on(travel: Travel) -> None:
    tasks.fail.using(max_attempts=2, backoff=60).enqueue()
    run_worker()
    run_worker()
    travel(NOON + timedelta(seconds=60))
    run_worker()
    [run] = TaskRun.objects.all()
    assert (run.attempts, run.finished_at) == (2, NOON + timedelta(seconds=60))
