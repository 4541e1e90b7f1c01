import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.utils import timezone

from taskworks import default_task_backend
from taskworks.models import TaskRun
from taskworks.worker import Options, Queues, Worker
from tests.docs.pages import SNIPPETS

Settings = Any
Capture = pytest.CaptureFixture[str]

with_database = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _as_a_reader_has_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The snippets are importable, and the tutorial's settings are in force."""
    monkeypatch.syspath_prepend(str(SNIPPETS))
    monkeypatch.chdir(tmp_path)
    settings.TASKS = run("shop/settings.py")["TASKS"]


@pytest.fixture
def sleeping_works(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """While a snippet sleeps, a worker runs what is ready, and what waits for its time."""

    really_sleep = time.sleep

    def sleep(seconds: float) -> None:
        if threading.current_thread() is threading.main_thread():
            make_due()
            work()
        else:  # a thread of the worker's
            really_sleep(seconds)

    monkeypatch.setattr(time, "sleep", sleep)
    yield
    monkeypatch.undo()


@pytest.fixture
def works_beside() -> Iterator[None]:
    """A worker in a thread, while the snippet goes on."""
    worker = Worker(default_task_backend, Options(queues=Queues(None), interval=0.05))

    def run() -> None:
        try:
            worker.run()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    worker.stop()
    thread.join(timeout=30)
    assert not thread.is_alive()


def run(snippet: str) -> dict[str, Any]:
    """Execute a file of snippets, and return the names it has defined."""
    path = SNIPPETS / snippet
    names: dict[str, Any] = {"__name__": "snippet", "__file__": str(path)}
    exec(compile(path.read_text(), path, "exec"), names)
    return names


def work() -> None:
    """Run a worker in this process until nothing is ready."""
    call_command("taskworks", "worker", "--batch", verbosity=0)


def make_due() -> None:
    """What waits for its time need not wait any more."""
    TaskRun.objects.scheduled().update(available_at=timezone.now())


def only(path: str) -> TaskRun:
    """The one run of a task."""
    return TaskRun.objects.get(task_path=path)
