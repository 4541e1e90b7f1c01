"""What a task does to its surroundings, and what becomes of its neighbours."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.db import transaction

from taskworks import Task, TaskResult, task_backends
from taskworks.execution import Attempt, Succeeded, prepare
from taskworks.models import TaskRun, Worker
from taskworks.recording.ledger import WRITE_START_AFTER
from taskworks.signals import task_finished
from taskworks.store import store
from taskworks.worker import Options, Queues
from taskworks.worker import Worker as WorkerOfTheTest
from tests import tasks
from tests.connections import begin_elsewhere
from tests.recording.in_hand import new_ledger, submit
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def drain() -> None:
    options = Options(queues=Queues(), batch=True, interval=0.02)
    WorkerOfTheTest(task_backends["default"], options).run()


@contextmanager
def working() -> Iterator[WorkerOfTheTest]:
    options = Options(queues=Queues(), interval=0.02)
    worker = WorkerOfTheTest(task_backends["default"], options)
    running = begin_elsewhere(worker.run)
    try:
        yield worker
    finally:
        worker.stop()
        running.result(timeout=30)


def all_are(results: list[TaskResult], state: str) -> bool:
    return {state_of(result) for result in results} == {state}


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
    ledger = new_ledger()
    with django_assert_num_queries(0):
        ledger.record()
        ledger.give_back()


def test_what_has_ended_and_waits_to_be_written_is_not_written_as_begun() -> None:
    tasks.noop.enqueue_many([(), ()])
    row = Worker(label="of a test", hostname="here", pid=1)
    store().register(row)
    ledger = new_ledger()
    attempts = [
        Attempt(run, "of a test")
        for run in store().claim(row.id, "default", ["default"], {"thread": 2})
    ]
    for attempt in attempts:
        assert prepare(attempt) is None
        submit(ledger, [attempt])
        attempt.begin()
    wait_for(lambda: attempts[0].age > WRITE_START_AFTER, "their start is to be written")
    ledger.settle(attempts[0], Succeeded(None))
    ledger.record()
    assert not TaskRun.objects.successful().filter(finished_at=None).exists()
    ledger.settle(attempts[1], Succeeded(None))
    ledger.record()
    assert TaskRun.objects.successful().exclude(finished_at=None).count() == 2


def test_a_task_that_takes_long_holds_up_no_brief_one_while_the_worker_is_busy(
    tmp_path: Path,
) -> None:
    """Among brief tasks one thread executes all; its neighbours come although much comes in."""
    over = Event()

    def keep_it_busy(worker: WorkerOfTheTest) -> None:
        while not over.wait(0.001):
            worker._inbox.wake()

    with working() as worker:
        brief = tasks.noop.enqueue_many([()] * 200)
        wait_for(lambda: all_are(brief, "successful"), "it knows that tasks are brief")
        busy = begin_elsewhere(lambda: keep_it_busy(worker))
        try:
            long = tasks.wait_for_file.enqueue(str(tmp_path / "go"))
            wait_for(lambda: state_of(long) == "running", "one takes long")
            others = tasks.noop.enqueue_many([()] * 5)
            wait_for(lambda: all_are(others, "successful"), "others are not held up", 10)
        finally:
            (tmp_path / "go").touch()
            over.set()
            busy.result(timeout=30)


def test_a_receiver_that_leaves_a_transaction_open_loses_no_outcome() -> None:
    def forget(**kwargs: Any) -> None:
        transaction.set_autocommit(False)
        TaskRun.objects.count()

    task_finished.connect(forget)
    try:
        with working():
            for _ in range(3):
                result = tasks.noop.enqueue()
                wait_for(lambda result=result: state_of(result) == "successful", "it ends")
    finally:
        task_finished.disconnect(forget)


def test_a_log_that_raises_stops_no_worker(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "taskworks.runs")

    class OfRequests(logging.Filter):
        """As projects have them, who think of their views alone."""

        def filter(self, record: Any) -> bool:
            return bool(record.request)

    handler = logging.StreamHandler()
    handler.addFilter(OfRequests())
    log = logging.getLogger("taskworks.runs")
    log.addHandler(handler)
    try:
        with working():
            failed, after = tasks.fail.enqueue(), tasks.noop.using(priority=-1).enqueue()
            wait_for(lambda: state_of(failed) == "failed", "it fails")
            wait_for(lambda: state_of(after) == "successful", "the worker goes on")
    finally:
        log.removeHandler(handler)
    assert f"Run {failed.id} cannot be logged: AttributeError" in capsys.readouterr().err
