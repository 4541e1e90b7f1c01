"""A whole worker: it fires, and executes what it has fired."""

from collections.abc import Iterator

import pytest

from taskworks.database import notifications
from taskworks.duties.scheduler import Scheduler
from taskworks.framework import task_backends
from taskworks.models import RunState, Schedule
from taskworks.worker.claiming.queues import Queues
from taskworks.worker.loop import Worker
from taskworks.worker.options import Options
from tests.connections import begin_elsewhere
from tests.schedules import bell
from tests.schedules.firing import planned_times, runs_of, scheduled
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def scheduler_of(worker: Worker) -> Scheduler:
    [scheduler] = [thread for thread in worker._threads.all if isinstance(thread, Scheduler)]
    return scheduler


@pytest.fixture
def worker() -> Iterator[Worker]:
    notifications._sent_at.clear()
    worker = Worker(task_backends["default"], Options(queues=Queues(), interval=0.1))
    working = begin_elsewhere(worker.run)
    yield worker
    worker.stop()
    working.result(timeout=60)
    assert not scheduler_of(worker).is_alive()


def successes(schedule: Schedule) -> list[object]:
    return [run for run in runs_of(schedule) if run.state == RunState.SUCCESSFUL]


@pytest.mark.usefixtures("worker")
def test_a_schedule_made_while_it_works_is_fired_and_executed() -> None:
    schedule = scheduled(bell.ring, cron="* * * * * *")
    wait_for(
        lambda: [run.state for run in runs_of(schedule)[:2]] == [RunState.SUCCESSFUL] * 2,
        "it rings twice",
    )
    times = planned_times(schedule)
    assert [run.return_value[0] for run in runs_of(schedule)[:2]] == [
        planned.isoformat() for planned in times[:2]
    ]
    schedule.enabled = False
    schedule.save()
    count = schedule.firings.count()
    last = scheduled(label="last", wait_for_schedule=False)
    wait_for(lambda: successes(last), "the last one is executed")
    assert schedule.firings.count() == count


def test_a_queued_run_begins_as_soon_as_the_one_before_has_ended(worker: Worker) -> None:
    wait_for(scheduler_of(worker).is_alive, "it works")
    schedule = scheduled(bell.fail, cron="* * * * * *", overlap="queue", iterations=3)
    wait_for(
        lambda: len([r for r in runs_of(schedule) if r.state == RunState.FAILED]) == 3,
        "three have failed",
    )
    assert not schedule.running
