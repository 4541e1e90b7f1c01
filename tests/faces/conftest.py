"""Runs as the faces find them."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from taskworks import TaskResult
from taskworks.models import Edge, RunState, TaskRun, Worker
from taskworks.options.policy import EXECUTORS
from taskworks.store import store
from tests import tasks

MakeRun = Callable[..., TaskRun]
LONG_AGO = "2020-01-01T00:00:00+00:00"


@pytest.fixture
def make_run() -> MakeRun:
    """``make_run(state, **columns)``: a run that is in this state."""

    def make_run(state: str = "ready", task: Any = tasks.noop, **columns: Any) -> TaskRun:
        result: TaskResult = task.enqueue()
        if state in ("successful", "failed", "cancelled"):
            columns = {"finished_at": store().read_clock(), **columns}
        if state == "blocked":
            Edge.objects.create(run=result.id, after=uuid4())
        assert TaskRun.objects.filter(id=result.id).update(state=state, **columns) == 1
        return TaskRun.objects.get(id=result.id)

    return make_run


@pytest.fixture
def admin_client(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


def client_of_reader(client: Client, permission: str) -> Client:
    """Somebody who may only look, as the permission says."""
    user = User.objects.create_user("reader", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename=permission))
    client.force_login(user)
    return client


@pytest.fixture
def failed_run(make_run: MakeRun) -> TaskRun:
    entry = {
        "attempt": 1,
        "at": LONG_AGO,
        "worker_id": "<b>w</b>",
        "exception_class_path": "builtins.ValueError",
        "traceback": 'Traceback:\n  File "<script>alert(1)</script>"\nValueError: \x1b[31mred',
    }
    return make_run(RunState.FAILED, errors=[entry], attempts=1, failures=1)


@pytest.fixture
def worker(patience: None) -> Worker:
    slots = dict.fromkeys(EXECUTORS, 1)
    row = Worker(label="of a test", hostname="here", pid=77, slots=slots)
    store().register(row)
    return Worker.objects.get()


@pytest.fixture
def patience(settings: Any) -> None:
    """A worker is silent after half a minute, as in a project; the tests' settings say a second."""
    settings.TASKWORKS = {**settings.TASKWORKS, "WORKER_TIMEOUT": 30.0}
