"""What a task does to its surroundings, and what becomes of its neighbours."""

from datetime import timedelta
from typing import Any

import pytest

from taskworks import Task, TaskResult, task_backends
from taskworks.backends.database import DatabaseBackend
from taskworks.execution import Attempt, Succeeded, prepare
from taskworks.models import TaskRun, Worker
from taskworks.store import store
from taskworks.worker import Observer, Options, Queues
from taskworks.worker import Worker as WorkerOfTheTest
from taskworks.worker.recorder import WRITE_START_AFTER, Recorder
from taskworks.worker.report import Report
from tests import tasks
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def drain() -> None:
    options = Options(queues=Queues(), batch=True, interval=0.02)
    WorkerOfTheTest(task_backends["default"], options).run()


def state_of(result: TaskResult) -> str:
    return TaskRun.objects.get(id=result.id).state


def error_of(result: TaskResult) -> str:
    return TaskRun.objects.get(id=result.id).errors[0]["traceback"]


def test_coroutines_do_not_share_connections() -> None:
    reading = [tasks.read_slowly.enqueue() for _ in range(3)]
    short = [tasks.add_async.enqueue(1, 2) for _ in range(20)]
    drain()
    assert {state_of(result) for result in [*reading, *short]} == {"successful"}


@pytest.mark.parametrize("task", [tasks.leave_atomic, tasks.leave_atomic_async])
def test_a_transaction_left_open_is_a_failure_and_strikes_nobody_else(task: Task) -> None:
    left = [task.enqueue() for _ in range(4)]
    after = [tasks.count_runs.using(priority=-1).enqueue() for _ in range(8)]
    drain()
    assert {state_of(result) for result in left} == {"failed"}
    assert "left a transaction open on default" in error_of(left[0])
    assert {state_of(result) for result in after} == {"successful"}


@pytest.mark.parametrize(
    "task", [tasks.cancel_its_task, tasks.raise_odd_notes, tasks.raise_odd_module]
)
def test_a_task_that_is_odd_in_its_end_fails_and_the_worker_goes_on(task: Task) -> None:
    odd, after = task.enqueue(), tasks.noop.using(priority=-1).enqueue()
    drain()
    assert (state_of(odd), state_of(after)) == ("failed", "successful")


def test_a_batch_stays_for_the_runs_of_a_worker_that_was_killed() -> None:
    result = tasks.noop.enqueue()
    killed = Worker(label="killed", hostname="here", pid=1)
    store().register(killed)
    assert len(store().claim(killed.id, "default", ["default"], {"thread": 1})) == 1
    Worker.objects.update(heartbeat_at=store().read_clock() - timedelta(minutes=1))
    drain()
    assert state_of(result) == "successful"


def test_a_recorder_with_nothing_to_write_asks_the_database_nothing(
    django_assert_num_queries: Any,
) -> None:
    recorder = Recorder(store(), Report(DatabaseBackend, Observer()), lambda: None)
    with django_assert_num_queries(0):
        recorder.record()
        recorder.give_back()


def test_what_has_ended_and_waits_to_be_written_is_not_written_as_begun() -> None:
    tasks.noop.enqueue_many([(), ()])
    row = Worker(label="of a test", hostname="here", pid=1)
    store().register(row)
    recorder = Recorder(store(), Report(DatabaseBackend, Observer()), lambda: None)
    attempts = [
        Attempt(run, "of a test")
        for run in store().claim(row.id, "default", ["default"], {"thread": 2})
    ]
    for attempt in attempts:
        assert prepare(attempt) is None
        recorder.take(attempt)
        attempt.begin()
    wait_for(lambda: attempts[0].age > WRITE_START_AFTER, "their start is to be written")
    recorder.end(attempts[0], Succeeded(None))
    recorder.record()
    assert not TaskRun.objects.successful().filter(finished_at=None).exists()
    recorder.end(attempts[1], Succeeded(None))
    recorder.record()
    assert TaskRun.objects.successful().exclude(finished_at=None).count() == 2
