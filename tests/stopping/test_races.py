"""Many timeouts and cancellations that come just as their run ends."""

import logging
import os
import random

import pytest
from django.conf import settings

from taskworks import Task, TaskResult
from taskworks.models import TaskRun
from tests.stopping import shelf
from tests.stopping.runs import FINISHED, error_of, working
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

# In all three executors and both ways, a thousand and two on SQLite.
RUNS = 167 if settings.DATABASE == "sqlite" or os.environ.get("CI") == "true" else 50
LASTING = 0.05  # seconds, about as long as what is to stop them takes
EXECUTORS = [
    (shelf.sleep_briefly, "thread"),
    (shelf.await_briefly, "async"),
    (shelf.sleep_briefly, "process"),
]


def check(struck: list[TaskResult], innocent: list[TaskResult], reason: str) -> None:
    """Every run has ended in exactly one state, for a reason of its own."""
    wait_for(lambda: not TaskRun.objects.exclude(state__in=FINISHED).exists(), "all have ended", 50)
    runs = {str(run.id): run for run in TaskRun.objects.all()}
    for result in innocent:
        assert runs[result.id].state == "successful", runs[result.id].errors
    ends = {"successful": 0, "stopped": 0}
    for result in struck:
        run = runs[result.id]
        assert run.attempts <= 1
        if run.state == "successful":
            assert (run.return_value, run.errors) == ("in time", [])
            ends["successful"] += 1
        else:
            assert run.state == {"TaskTimeout": "failed", "TaskCancelled": "cancelled"}[reason]
            assert (error_of(run), len(run.errors)) == (reason, 1)
            ends["stopped"] += 1
    assert sum(ends.values()) == len(struck)


def stray_warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    worse = (record for record in caplog.records if record.levelno > logging.INFO)
    return [record.getMessage() for record in worse if not is_of_a_run(record)]


def is_of_a_run(record: logging.LogRecord) -> bool:
    """A failed run has its line in the standard's log."""
    return record.name.startswith(("taskworks.framework", "django.tasks"))


@pytest.mark.parametrize(("task", "executor"), EXECUTORS)
def test_timeouts_strike_only_their_own_run(
    caplog: pytest.LogCaptureFixture, task: Task, executor: str
) -> None:
    moment = random.Random(1)
    task = task.using(executor=executor)
    with working(threads=8, async_slots=8, task_processes=2):
        struck, innocent = [], []
        for _ in range(RUNS):
            timeout = LASTING + moment.uniform(-0.01, 0.02)
            struck.append(task.using(timeout=timeout).enqueue(LASTING))
            innocent.append(task.enqueue(0.001))
        check(struck, innocent, "TaskTimeout")
    assert stray_warnings(caplog) == []


@pytest.mark.parametrize(("task", "executor"), EXECUTORS)
def test_cancellations_strike_only_their_own_run(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, task: Task, executor: str
) -> None:
    # Or a run would have to last for most of a second until it is stopped.
    monkeypatch.setattr("taskworks.worker.stopping.CANCEL_INTERVAL", 0.01)
    monkeypatch.setattr("taskworks.worker.stopping.CANCEL_NOTICE", 0.01)
    task = task.using(executor=executor)
    with working(threads=8, async_slots=8, task_processes=2):
        struck, innocent = [], []
        for number in range(RUNS):
            struck.append(task.enqueue(LASTING))
            innocent.append(task.enqueue(0.001))
            if number > 4:
                struck[number - 4].cancel()
        check(struck, innocent, "TaskCancelled")
    assert stray_warnings(caplog) == []
