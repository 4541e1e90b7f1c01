"""Runs and workers of these tests: how they are started, awaited and cancelled."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from taskworks import TaskResult, task_backends
from taskworks.models import TaskRun
from taskworks.worker import Options, Queues, Sizes, Worker
from tests.connections import begin_elsewhere
from tests.waiting import wait_for

FINISHED = ("successful", "failed", "cancelled")
IMPATIENT = {"DJANGO_SETTINGS_MODULE": "tests.stopping.settings"}
UNHURRIED = {"DJANGO_SETTINGS_MODULE": "tests.stopping.unhurried"}


@contextmanager
def working(**sizes: Any) -> Iterator[Worker]:
    """While this lasts, a worker of this process works."""
    options = Options(queues=Queues(), interval=0.02, sizes=Sizes(**sizes))
    worker = Worker(task_backends["default"], options)
    running = begin_elsewhere(worker.run)
    try:
        yield worker
    finally:
        worker.stop()
        running.result(timeout=60)


def run_of(result: TaskResult) -> TaskRun:
    return TaskRun.objects.get(id=result.id)


def state_of(result: TaskResult) -> str:
    return run_of(result).state


def wait_until(result: TaskResult, *states: str) -> TaskRun:
    """The run as soon as it is in one of these states."""
    wait_for(lambda: state_of(result) in states, f"{result.id} is {states}")
    return run_of(result)


def finished(*results: TaskResult) -> list[TaskRun]:
    return [wait_until(result, *FINISHED) for result in results]


def cancel_under_way(result: TaskResult) -> float:
    """Cancel a run that is executed; the seconds that it took until it was cancelled."""
    wait_until(result, "running")
    begun = time.monotonic()
    assert result.cancel()
    wait_until(result, "cancelled")
    return time.monotonic() - begun


def wait_for_file(path: Path) -> str:
    """Code that a child process executes first, to be started only when there is this file."""
    return f"import os, time\nwhile not os.path.exists({str(path)!r}): time.sleep(0.01)"


def error_of(run: TaskRun) -> str:
    """The class of the latest failure, without its module."""
    return run.errors[-1]["exception_class_path"].rpartition(".")[2]
