"""``POST /tasks/``, and what becomes of the run."""

from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from taskworks.database import notifications
from taskworks.models import TaskRun
from taskworks.rest.serializers import run_as_json
from tests.behavior import run_worker
from tests.rest import TASKS, address, offered


def test_a_task_is_started(client: APIClient, ann: Any) -> None:
    response = client.post(TASKS, {"task": "add", "inputs": {"a": "6", "b": 0.5}}, format="json")
    assert response.status_code == 201
    started = response.json()
    assert response["Location"] == f"http://testserver{address(started)}"
    created = started.pop("created")
    run_id = started.pop("id")
    assert UUID(run_id)
    assert created.endswith("Z")
    assert started == {
        "uuid": run_id,
        "task": "add",
        "status": "pending",
        "progress": None,
        "target": None,
        "percent": None,
        "outputs": {},
        "messages": [],
        "message_details": [],
        "error": None,
        "attempts": 0,
        "cancel_requested": False,
        "queue": "default",
        "started": None,
        "finished": None,
    }
    stored = TaskRun.objects.get(id=run_id)
    assert stored.owner == str(ann.pk)
    assert stored.kwargs == {"a": 6, "b": 0.5}
    run_worker()
    finished = client.get(address(run_id)).json()
    assert finished["status"] == "succeeded"
    assert finished["outputs"] == {"sum": 6.5}
    assert finished["attempts"] == 1
    assert finished["started"] <= finished["finished"]


def test_what_is_answered_is_what_is_read(client: APIClient, start: Any) -> None:
    started = start("no inputs")
    assert started["queue"] == "mail"
    assert client.get(address(started)).json() == started


@pytest.mark.parametrize(
    "content_type", ["Application/JSON", "APPLICATION/JSON; Charset=UTF-8", "application/json ;x=1"]
)
def test_the_media_type_is_in_any_case(client: APIClient, content_type: str) -> None:
    body = '{"task": "no inputs", "inputs": {}}'
    assert client.post(TASKS, body, content_type=content_type).status_code == 201


def test_the_key_inputs_is_mandatory_and_may_be_empty(client: APIClient) -> None:
    response = client.post(TASKS, {"task": "no inputs"}, format="json")
    assert (response.status_code, response.json()) == (400, {"inputs": ["This field is required."]})
    response = client.post(TASKS, {"task": "no inputs", "inputs": {}}, format="json")
    assert response.status_code == 201


def test_it_tells_how_far_it_is(client: APIClient, start: Any) -> None:
    run = start("tells")
    run_worker()
    shown = client.get(address(run)).json()
    assert (shown["progress"], shown["target"], shown["percent"]) == (3, 4, 100.0)
    assert shown["messages"] == ["three", '{"four": 4}']
    assert [each["level"] for each in shown["message_details"]] == ["info", "warning"]
    assert all(each["time"] for each in shown["message_details"])


@pytest.mark.parametrize(
    ("name", "message"),
    [("fails", "The task failed."), ("fails and says so", "Your order could not be found.")],
)
def test_a_failure_shows_what_its_task_says_and_not_what_was_raised(
    client: APIClient, start: Any, name: str, message: str
) -> None:
    run = start(name)
    run_worker()
    answer = client.get(address(run))
    shown = answer.json()
    assert shown["status"] == "failed"
    assert shown["error"] == {"type": "ValueError", "message": message}
    assert shown["outputs"] == {}
    for each in (answer, client.get(TASKS), client.post(address(run, "retry"))):
        assert "A7" not in each.content.decode()


def test_staff_who_may_view_runs_are_told_more(client_of: Any, staff: Any, start: Any) -> None:
    run = start("fails and says so")
    run_worker()
    error = {
        "type": "ValueError",
        "message": "Your order could not be found.",
        "detail": "no such order:\nA7",
    }
    assert client_of("root").get(address(run)).json()["error"] == error
    assert client_of("root").get(TASKS).json()["results"][0]["error"] == error


def test_a_group_of_exceptions_has_a_message(client_of: Any, staff: Any, start: Any) -> None:
    def fail(task: Any) -> None:
        raise ExceptionGroup("no such orders", [ValueError("A7"), ValueError("A8")])

    offered.orders.put(fail)
    run = start("told")
    run_worker()
    error = client_of("root").get(address(run)).json()["error"]
    assert (error["type"], error["detail"]) == (
        "ExceptionGroup",
        "no such orders (2 sub-exceptions)",
    )


def test_other_staff_are_users_like_others(client_of: Any, ann: Any, start: Any) -> None:
    run = start("fails")
    run_worker()
    ann.is_staff = True
    ann.save()
    error = client_of("ann").get(address(run)).json()["error"]
    assert error == {"type": "ValueError", "message": "The task failed."}


def test_a_cancelled_run_says_so(client: APIClient, start: Any) -> None:
    run = start("fails and says so")
    error = client.post(address(run, "cancel")).json()["error"]
    assert error == {"type": "TaskCancelled", "message": "The task was cancelled."}


def test_a_stream_does_not_have_what_was_raised(client: APIClient, start: Any) -> None:
    run = start("fails")
    run_worker()
    assert "A7" not in str(run_as_json(TaskRun.objects.get(id=run["id"])))


def test_it_costs_what_enqueue_costs_which_is_one_insert(client: APIClient, ann: Any) -> None:
    body = {"task": "add", "inputs": {"a": 1}}
    client.post(TASKS, body, format="json")
    notifications._sent_at.clear()  # what was told just now is not told again for a moment
    with CaptureQueriesContext(connection) as enqueuing:
        offered.Add.enqueue(a=1)
    notifications._sent_at.clear()
    with CaptureQueriesContext(connection) as posting:
        assert client.post(TASKS, body, format="json").status_code == 201
    authenticating = [query for query in posting if "auth_user" in query["sql"]]
    assert len(authenticating) == 1
    assert len(posting) - len(authenticating) <= len(enqueuing)
    assert len([query for query in posting if "INSERT" in query["sql"]]) == 1


def test_a_run_of_a_project_s_own_view_may_be_somebody_s(client: APIClient, ann: Any) -> None:
    theirs = offered.plain.using(owner=ann).enqueue("x")
    run_worker()
    shown = client.get(address(theirs)).json()
    assert shown["task"] == "tests.rest.offered.plain"
    assert shown["outputs"] == {"result": "x"}


@pytest.mark.parametrize("backend", ["immediate", "dummy"])
def test_other_backends_answer_as_well(
    client: APIClient, settings: Any, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    settings.TASKS = {"default": settings.TASKS[backend]}
    response = client.post(
        TASKS, {"task": "add", "inputs": {"a": 1}}, format="json", HTTP_IDEMPOTENCY_KEY="x"
    )
    assert response.status_code == 201
    if backend == "immediate":
        assert response.json()["outputs"] == {"sum": 1.0}


# django-task-api's own errors.


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({}, {"task": ["This field is required."], "inputs": ["This field is required."]}),
        ({"inputs": {}}, {"task": ["This field is required."]}),
    ],
)
def test_missing_keys_are_named(client: APIClient, body: Any, refusal: Any) -> None:
    response = client.post(TASKS, body, format="json")
    assert (response.status_code, response.json()) == (400, refusal)


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
@pytest.mark.parametrize("path", [TASKS, address("019aa61d-1c44-7000-8000-000000000000")])
def test_other_methods_are_not_allowed(client: APIClient, method: str, path: str) -> None:
    response = getattr(client, method)(path, {}, format="json")
    assert response.status_code == 405
    assert response.json() == {"detail": f'Method "{method.upper()}" not allowed.'}


@pytest.mark.parametrize(
    "content_type", ["Application/JSON", "APPLICATION/JSON; Charset=UTF-8", "application/json ;x=1"]
)
def test_the_type_of_a_body_may_be_in_capitals(client: APIClient, content_type: str) -> None:
    body = '{"task": "add", "inputs": {"a": 1}}'
    response = client.generic("POST", TASKS, body, content_type)
    assert response.status_code == 201, response.content
