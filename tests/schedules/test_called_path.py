"""The run of a callable that is not a task is shown by the callable's own path."""

import json
import logging
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from taskworks.models import Schedule, TaskRun
from tests.behavior import run_worker
from tests.schedules import shelf
from tests.tasks import noop

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.faces.urls")]

HEAR = "tests.schedules.shelf.hear"
WRAPPER = "taskworks.timetables.callable_task.call"


@pytest.fixture
def run() -> TaskRun:
    Schedule.run_once(shelf.hear, label="of a test")
    return TaskRun.objects.get()


def taskworks(*arguments: Any) -> str:
    output = StringIO()
    call_command("taskworks", *map(str, arguments), stdout=output)
    return output.getvalue()


def test_it_is_that_of_the_callable(run: TaskRun) -> None:
    assert (run.called_path, run.task_path) == (HEAR, WRAPPER)
    assert str(run) == f"{HEAR} {run.id} (ready)"


def test_that_of_a_task_is_its_own() -> None:
    Schedule.run_once(noop, label="of a test")
    run = TaskRun.objects.get()
    assert run.called_path == run.task_path == "tests.tasks.noop"


def test_that_of_a_run_which_does_not_know_is_the_task_s(run: TaskRun) -> None:
    TaskRun.objects.update(callable_path=None)
    run.refresh_from_db()
    assert run.called_path == WRAPPER


def test_that_of_a_task_costs_nothing_to_store() -> None:
    with CaptureQueriesContext(connection) as asked:
        noop.enqueue()
    assert not [query for query in asked if "callable_path" in query["sql"]]
    assert TaskRun.objects.get().callable_path is None


def test_the_admin_shows_it(run: TaskRun, admin_client: Client) -> None:
    noop.enqueue()
    with CaptureQueriesContext(connection) as asked:
        runs = admin_client.get(reverse("admin:taskworks_taskrun_changelist")).content.decode()
    assert HEAR in runs
    assert "tests.tasks.noop" in runs
    assert WRAPPER not in runs
    assert len([query for query in asked if "task_path" in query["sql"]]) == 1
    page = admin_client.get(reverse("admin:taskworks_taskrun_change", args=[run.id]))
    assert HEAR in page.content.decode()


def test_the_command_line_shows_it(run: TaskRun) -> None:
    noop.enqueue()
    with CaptureQueriesContext(connection) as asked:
        table = taskworks("list")
    assert HEAR in table
    assert WRAPPER not in table
    assert len([query for query in asked if "task_path" in query["sql"]]) == 1
    told = json.loads(taskworks("list", "--json", "--task", WRAPPER))
    assert [(one["task_path"], one["called_path"]) for one in told] == [(WRAPPER, HEAR)]
    assert HEAR in taskworks("show", run.id)


def test_the_command_line_finds_it(run: TaskRun) -> None:
    other = noop.enqueue()
    found = json.loads(taskworks("list", "--json", "--task", HEAR))
    assert [one["id"] for one in found] == [str(run.id)]
    found = json.loads(taskworks("list", "--json", "--task", "tests.tasks.noop"))
    assert [one["id"] for one in found] == [other.id]


def test_the_worker_tells_it(run: TaskRun, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "taskworks.runs"):
        run_worker()
    told = [record for record in caplog.records if record.name == "taskworks.runs"]
    assert HEAR in told[-1].getMessage()
    assert told[-1].task_path == WRAPPER  # type: ignore[attr-defined]
