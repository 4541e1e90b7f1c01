"""A worker that stops asks its tasks to, and then gives their runs back."""

import signal
import time
from collections.abc import Callable

import pytest

from taskworks import Task
from taskworks.models import TaskRun, Worker
from taskworks.worker import shutdown
from tests.processes.conftest import WorkerProcess
from tests.stopping import shelf
from tests.stopping.runs import IMPATIENT, UNHURRIED, run_of, wait_until, working
from tests.stopping.settings import TASKWORKS
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

StartWorker = Callable[..., WorkerProcess]
PATIENCE = TASKWORKS["SHUTDOWN_TIMEOUT"]
EXECUTORS = [
    (shelf.spin, "thread"),
    (shelf.await_for_ever, "async"),
    (shelf.sleep_for_ever, "process"),
    (shelf.hold_the_interpreter, "process"),
    (shelf.sleep_for_ever, "thread"),
]


def is_untouched(run: TaskRun) -> bool:
    """As if nobody had ever claimed it, except that it says when it began."""
    return (
        (run.state, run.attempts, run.worker_ids, run.errors) == ("ready", 0, [], [])
        and (run.claimed_by, run.claim_token, run.started_at) == (None, None, None)
        and run.last_attempted_at is not None
    )


def ask_twice(worker: WorkerProcess) -> None:
    """Two signals; sent at once they might be one."""
    worker.send(signal.SIGTERM)
    worker.wait_for_line("Shutting down: ")
    worker.send(signal.SIGTERM)


def test_what_does_not_end_is_asked_to_stop_and_given_back(start_worker: StartWorker) -> None:
    worker = start_worker(**IMPATIENT).wait_until_up()
    results = [task.using(executor=executor).enqueue() for task, executor in EXECUTORS]
    for result in results:
        wait_until(result, "running")
    begun = time.monotonic()
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert time.monotonic() - begun >= PATIENCE
    for result in results:
        assert is_untouched(run_of(result)), vars(run_of(result))
    assert not Worker.objects.exists()


@pytest.mark.any_database
@pytest.mark.usefixtures("impatient")
def test_what_listens_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "RELEASE_AFTER", 600.0)
    with working(task_processes=1):
        results = [task.using(executor=executor).enqueue() for task, executor in EXECUTORS[:3]]
        for result in results:
            wait_until(result, "running")
    assert all(is_untouched(run_of(result)) for result in results)


@pytest.mark.parametrize(("task", "executor"), EXECUTORS)
def test_a_second_signal_gives_back_at_once(
    start_worker: StartWorker, task: Task, executor: str
) -> None:
    worker = start_worker(**UNHURRIED).wait_until_up()
    result = task.using(executor=executor).enqueue()
    wait_until(result, "running")
    ask_twice(worker)
    assert worker.wait() == 0
    assert is_untouched(run_of(result)), vars(run_of(result))


def test_a_cancellation_wins_over_giving_back(start_worker: StartWorker) -> None:
    worker = start_worker().wait_until_up()
    result = shelf.sleep_for_ever.enqueue()
    wait_until(result, "running")
    result.cancel()
    ask_twice(worker)
    assert worker.wait() == 0, worker.output()
    assert run_of(result).state == "cancelled"


def test_a_second_attempt_that_is_given_back_keeps_the_first(start_worker: StartWorker) -> None:
    result = shelf.sleep_for_ever.using(
        executor="process", timeout=0.2, max_attempts=9, backoff=0
    ).enqueue()
    worker = start_worker("--worker-id", "w").wait_until_up()
    wait_for(lambda: run_of(result).attempts >= 2, "it is tried again")
    ask_twice(worker)
    assert worker.wait() == 0
    run = run_of(result)
    assert run.state in {"ready", "scheduled"}
    assert run.attempts == run.failures == len(run.errors) == len(run.worker_ids)
