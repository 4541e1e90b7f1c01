"""``POST /tasks/`` of a task that is unique."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from taskworks.models import TaskRun
from tests.rest import TASKS, offered
from tests.rest.conftest import signed_in


@pytest.fixture(autouse=True)
def _offered(settings: Any) -> None:
    paths = [f"{offered.__name__}.{name}" for name in ("Synced", "supersede")]
    settings.TASKWORKS = {**settings.TASKWORKS, "API_TASKS": [*offered.PATHS, *paths]}


@pytest.fixture
def bob() -> APIClient:
    User.objects.create_user("bob")
    return signed_in("bob")


def post(client: APIClient, task: str = "sync", key: str | None = None, **inputs: Any) -> Any:
    headers: dict[str, Any] = {} if key is None else {"HTTP_IDEMPOTENCY_KEY": key}
    body = {"task": task, "inputs": {"customer": 1, **inputs}}
    return client.post(TASKS, body, format="json", **headers)


def test_a_user_gets_the_run_that_stands(client: APIClient) -> None:
    first, second = post(client), post(client, reason="again")
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json()["id"] == first.json()["id"]
    assert second["Location"] == first["Location"]


@pytest.mark.parametrize("task", ["sync", "supersede"])
def test_of_somebody_else_s_run_nothing_is_told(
    client: APIClient, bob: APIClient, task: str
) -> None:
    run = post(client, task).json()
    answer = post(bob, task)
    assert answer.status_code == 409
    assert run["id"] not in answer.content.decode()
    assert TaskRun.objects.get().state == "ready"


def test_an_idempotency_key_leads_to_the_run_that_stands(client: APIClient) -> None:
    first = post(client)
    second, third = post(client, key="once"), post(client, key="once")
    assert [answer.status_code for answer in (second, third)] == [200, 200]
    assert {answer.json()["id"] for answer in (first, second, third)} == {first.json()["id"]}
    assert post(client, key="once", reason="other inputs").status_code == 422


def test_a_refused_one_keeps_no_idempotency_key(client: APIClient, bob: APIClient) -> None:
    post(bob)
    assert post(client, key="once").status_code == 409
    assert post(client, key="once", customer=2).status_code == 201


def test_other_tasks_cost_what_they_did(client: APIClient) -> None:
    def start() -> None:
        body = {"task": "add", "inputs": {"a": 1}}
        assert client.post(TASKS, body, format="json").status_code == 201

    start()
    with CaptureQueriesContext(connection) as asked:
        start()
    writes = [sql for q in asked if (sql := q["sql"]).lstrip().startswith(("INSERT", "UPDATE"))]
    assert len(writes) == 1
