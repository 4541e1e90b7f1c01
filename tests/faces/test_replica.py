"""A router sends reads to a replica, which may lack what was just written: it is not asked."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from taskworks.compat.sisy.shortcuts import taskinfo_with_label
from taskworks.models import Schedule
from taskworks.schedules import sync, task_with_callable
from taskworks.store import store
from taskworks.testing import run_tasks
from tests import tasks
from tests.schedules import shelf
from tests.schedules.firing import scheduled

pytestmark = pytest.mark.django_db(databases=["default", "queue"])
Settings = Any


class ToTheReplica:
    """The replica of the tables is so late that it has nothing yet."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "default"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "queue" if model._meta.app_label == "taskworks" else "default"


@pytest.fixture(autouse=True)
def _replica(settings: Settings) -> Iterator[None]:
    settings.DATABASE_ROUTERS = [f"{__name__}.ToTheReplica"]
    with CaptureQueriesContext(connections["default"]) as asked:
        yield
    assert [query["sql"] for query in asked if "taskworks_" in query["sql"]] == []


@pytest.fixture
def schedule() -> Schedule:
    return scheduled(tasks.noop)


@pytest.fixture
def run_id() -> str:
    return tasks.noop.enqueue().id


@pytest.fixture
def browser(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


def pages(browser: Client, *paths: str) -> Iterator[str]:
    for path in paths:
        response = browser.get(f"/admin/taskworks/{path}/")
        assert response.status_code == 200, path
        yield response.content.decode()


def test_by_the_pages_of_runs_and_workers(browser: Client, run_id: str) -> None:
    for text in pages(browser, "taskrun", f"taskrun/{run_id}/change"):
        assert run_id in text
    run_tasks()
    [text] = pages(browser, "worker")
    for action, verdict in (("cancel", "not applicable"), ("retry", "not applicable")):
        chosen = {"action": action, "_selected_action": [run_id]}
        response = browser.post("/admin/taskworks/taskrun/", chosen, follow=True)
        assert verdict in response.content.decode()


def test_by_the_pages_of_schedules(browser: Client, schedule: Schedule) -> None:
    address = f"schedule/{schedule.pk}"
    chosen = {"action": "run_now", "_selected_action": [schedule.pk]}
    response = browser.post("/admin/taskworks/schedule/", chosen, follow=True)
    assert response.status_code == 200
    for text in pages(browser, "schedule", f"{address}/change", f"{address}/delete"):
        assert "bell" in text
    browser.post(f"/admin/taskworks/{address}/delete/", {"post": "yes"})
    assert not store().schedules.exists()


def test_by_the_command_line(
    run_id: str, schedule: Schedule, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("taskworks", "schedules", "--json")
    [shown] = json.loads(capsys.readouterr().out)
    assert shown["label"] == "bell"
    call_command("taskworks", "schedules", "bell", "--run-now")
    with pytest.raises(CommandError, match="No living worker"):  # it sees the run
        call_command("taskworks", "status")
    for words in (["list"], ["show", run_id], ["cancel", run_id], ["retry", run_id]):
        call_command("taskworks", *words)
        assert capsys.readouterr().out
    call_command("taskworks", "prune")


def test_by_the_shortcuts_and_by_validation(schedule: Schedule) -> None:
    assert taskinfo_with_label("bell")
    with pytest.raises(ValidationError, match="already exists"):
        scheduled(tasks.noop)
    task_with_callable(shelf.hear, "mine", "*/5 * * * *", {"text": "so"}).save()
    sync.synchronize()
    assert store().schedules.count() == 2
    schedule.refresh_from_db(using="queue")
    schedule.full_clean()


def test_by_results(run_id: str) -> None:
    result = tasks.noop.get_result(run_id)
    run_tasks()
    result.refresh()
    assert result.status == "SUCCESSFUL"
