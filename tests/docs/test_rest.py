"""The code of the page on the REST API; the reference has all of it."""

import re
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import RequestFactory
from rest_framework.test import APIClient

from taskworks.rest import urls
from taskworks.rest.openapi.auto_schema import OPERATIONS
from taskworks.rest.openapi.document import document
from taskworks.rest.serializers import RUN_COLUMNS, TaskRunSerializer
from taskworks.rest.workflow_json import WorkflowSerializer, WorkflowStepSerializer
from taskworks.typed import registry
from tests.docs.conftest import Settings, only, run, with_database, work
from tests.docs.pages import executes, reference
from tests.docs.test_reference import mentions
from tests.rest.generating import generate
from tests.rest.signing import HEADER

INPUTS = {"month": "2026-05-01", "shops": ["Bonn", "Ulm"]}


@pytest.fixture(autouse=True)
def _api(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.TASKS = {"default": {**settings.TASKS["default"], "QUEUES": []}}
    import_module("reports.tasks")  # which other tests want to be decorated
    monkeypatch.setattr(registry, "_decorated", {})
    settings.ROOT_URLCONF = "reports.urls"
    api = run("reports/api.py")
    settings.REST_FRAMEWORK = api["REST_FRAMEWORK"]
    settings.TASKWORKS = {
        **api["TASKWORKS"],
        "API_TASKS": [
            "reports.tasks.MonthlyReport",
            "reports.restricted.CloseBooks",
            "reports.failing.ImportPrices",
        ],
    }


@executes("reports/urls.py", "reports/api.py", "reports/restricted.py")
@with_database
def test_tasks_are_offered_over_rest() -> None:
    client = APIClient()
    body: Any = {"task": "monthly-report", "inputs": INPUTS}
    assert client.post("/tasks/", body, format="json").status_code == 403
    client.force_login(User.objects.create_user("ada"))
    answer = client.post("/tasks/", body, format="json")
    assert answer.status_code == 201
    assert client.get(answer["Location"]).json() == answer.json()
    body = {"task": "close-books", "inputs": {}}
    assert client.post("/tasks/", body, format="json").status_code == 403
    client.force_login(User.objects.create_superuser("root"))
    assert client.post("/tasks/", body, format="json").status_code == 201


@executes("reports/failing.py")
@with_database
def test_a_failure_tells_users_the_sentence_of_its_task() -> None:
    client = APIClient()
    client.force_login(User.objects.create_user("ada"))
    started = client.post("/tasks/", {"task": "import-prices", "inputs": {}}, format="json")
    work()
    error = client.get(started["Location"]).json()["error"]
    assert error["type"] == "ConnectionError"
    assert error["message"].startswith("The prices could not be imported. Try again, or ")
    assert [*error] == ["type", "message"]


@executes("reports/generated.py")
@with_database
def test_a_generated_client_follows_a_run(
    settings: Settings,
    live_server: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    works_beside: None,
) -> None:
    ada = User.objects.create_user("ada")
    by_name = {"API_AUTHENTICATION_CLASSES": ["tests.rest.signing.ByName"]}
    settings.TASKWORKS = {**settings.TASKWORKS, **by_name}
    named = {HEADER: ada.username}
    generate(APIClient().get("/tasks/schema/", headers=named).json(), tmp_path, "tasks_client")
    monkeypatch.syspath_prepend(tmp_path)
    client = import_module("tasks_client").Client(live_server.url, headers=named)
    report = run("reports/generated.py")["report"]
    assert report(client, date(2026, 5, 1), ["Bonn", "Ulm"]) == "May 2026"


def test_the_reference_has_every_operation_and_component() -> None:
    for view, method in OPERATIONS:
        assert f"taskworks_{OPERATIONS[view, method].name}" in reference("rest")
    components = document("/").content.decode()
    for name in set(re.findall(r'"(Taskworks(?!Start|Close|Import)\w+)":', components)):
        assert name in reference("rest"), name


@executes("reports/views.py")
@with_database
def test_a_run_of_a_view_has_an_owner() -> None:
    request = RequestFactory().post("/")
    request.user = user = User.objects.create_user("ada")
    import_module("reports.views").order_report(request)
    assert only("reports.tasks.MonthlyReport.task").owner == str(user.pk)


def test_the_reference_has_every_address() -> None:
    for pattern in urls.urlpatterns:
        route = str(pattern.pattern).replace("<str:pk>", "{id}")
        assert f"{route}` | `{pattern.name}`" in reference("rest")


@with_database
def test_the_reference_has_every_key() -> None:
    from taskworks.models import TaskRun

    assert {"id", "owner"} <= set(RUN_COLUMNS)
    keys = TaskRunSerializer(TaskRun(state="ready", task_path="x.y")).data
    assert [*keys, "log_lines", "why_waiting"] == [*TaskRunSerializer().fields]
    of_workflows = [*WorkflowSerializer().fields, *WorkflowStepSerializer().fields]
    for key in [*TaskRunSerializer().fields, *of_workflows]:
        assert mentions(reference("rest"), key), key
