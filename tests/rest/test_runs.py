"""Runs that were started: to be listed, cancelled and retried; and what can be started."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils.dateparse import parse_datetime
from rest_framework.test import APIClient

from taskworks.filtering import sources
from taskworks.models import TaskRun
from tests.behavior import run_worker
from tests.rest import TASKS, address
from tests.rest.signing import HEADER


def listed(client: APIClient, **query: Any) -> list[str]:
    response = client.get(TASKS, query)
    assert response.status_code == 200, response.content
    return [run["id"] for run in response.json()["results"]]


def test_a_list_is_paged_from_the_newest(client: APIClient, start: Any) -> None:
    ids = [start("add", a=number)["id"] for number in range(5)]
    page = client.get(TASKS, {"page_size": 2}).json()
    assert page["next"].startswith("http://testserver/api/tasks/?")
    found = [run["id"] for run in page["results"]]
    start("add", a=6)  # which moves no page
    while page["next"]:
        page = client.get(page["next"]).json()
        found += [run["id"] for run in page["results"]]
    assert found == sorted(ids, reverse=True)


def test_a_list_is_filtered(client: APIClient, start: Any) -> None:
    added, mailed, failed = start("add", a=1), start("no inputs"), start("fails")
    run_worker("--queues", "default")
    assert listed(client, task="add") == [added["id"]]
    assert listed(client, task="tests.rest.offered.Add.task") == [added["id"]]
    assert listed(client, queue="mail") == listed(client, status="pending") == [mailed["id"]]
    assert listed(client, status="failed") == [failed["id"]]
    assert listed(client, status="succeeded", task="fails") == []
    created = parse_datetime(mailed["created"])
    later = (created + timedelta(microseconds=1)).isoformat()
    assert set(listed(client, created_after=mailed["created"])) == {mailed["id"], failed["id"]}
    assert set(listed(client, created_before=later)) == {mailed["id"], added["id"]}


def test_what_no_index_has_is_looked_for_in_a_part_of_the_runs(
    client: APIClient, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "WINDOW", 2)
    oldest = start("no inputs")["id"]
    for number in range(3):
        start("add", a=number)
    newest = start("no inputs")["id"]
    asked, pages = f"{TASKS}?queue=mail", []
    while asked:
        page = client.get(asked).json()
        pages.append([run["id"] for run in page["results"]])
        asked = page["next"]
    assert pages == [[newest], [], [oldest]]


def test_those_that_wait_are_found_however_old_they_are(
    client: APIClient, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "WINDOW", 2)
    TaskRun.objects.filter(id=(oldest := start("add", a=1))["id"]).update(owner=None)
    for number in range(4):
        start("add", a=number)
    TaskRun.objects.exclude(id=oldest["id"]).update(state="successful")
    staff = User.objects.create_superuser("staff")
    seen = APIClient(headers={HEADER: staff.username})
    assert listed(seen, status="pending") == [oldest["id"]]


def test_a_run_of_a_schedule_s_callable_has_its_path(client: APIClient, start: Any) -> None:
    run = start("add", a=1)
    start("add", a=2)
    paths = {"task_path": "taskworks.call", "callable_path": "shop.close"}
    TaskRun.objects.filter(id=run["id"]).update(**paths)
    assert client.get(address(run)).json()["task"] == "shop.close"
    assert listed(client, task="shop.close") == listed(client, task="taskworks.call") == [run["id"]]


def test_a_list_reads_the_index_of_its_owner(client: APIClient, start: Any) -> None:
    from tests.settings import DATABASE

    start("add", a=1)
    plan = TaskRun.objects.filter(owner="1").order_by("-id")[:51].explain()
    assert DATABASE != "sqlite" or "taskworks_run_owned" in plan


def test_a_list_costs_one_query(
    client: APIClient, start: Any, django_assert_num_queries: Any
) -> None:
    for number in range(3):
        start("add", a=number)
    with django_assert_num_queries(2):  # the other is the user's
        assert len(listed(client)) == 3


def test_a_run_that_waits_is_cancelled(client: APIClient, start: Any) -> None:
    run = start("add", a=1)
    response = client.post(address(run, "cancel"))
    assert response.status_code == 200
    cancelled = response.json()
    assert cancelled["status"] == "cancelled"
    assert cancelled["error"]["type"] == "TaskCancelled"
    assert cancelled["finished"]


def test_a_run_in_hand_is_asked_to_stop(client: APIClient, start: Any) -> None:
    run = start("add", a=1)
    TaskRun.objects.update(state="running")
    asked = client.post(address(run, "cancel"))
    assert asked.status_code == 200
    assert (asked.json()["status"], asked.json()["cancel_requested"]) == ("running", True)


def test_what_has_finished_is_not_cancelled(client: APIClient, start: Any) -> None:
    run = start("add", a=1)
    run_worker()
    response = client.post(address(run, "cancel"))
    assert response.status_code == 409
    assert response.json() == {"detail": "It had finished before."}


def test_a_failure_is_retried(client: APIClient, start: Any) -> None:
    run = start("fails")
    run_worker()
    response = client.post(address(run, "retry"))
    assert response.status_code == 200
    assert response.json()["status"] == "pending"
    assert response.json()["error"] is None
    run_worker()
    assert client.get(address(run)).json()["attempts"] == 2


def test_what_has_not_failed_is_not_retried(client: APIClient, start: Any) -> None:
    run = start("add", a=1)
    response = client.post(address(run, "retry"))
    assert response.status_code == 409
    assert "failed or cancelled" in response.json()["detail"]


@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_verbs_are_posted(client: APIClient, start: Any, verb: str) -> None:
    assert client.get(address(start("add", a=1), verb)).status_code == 405


def test_types_tells_what_each_task_takes_and_gives(client: APIClient) -> None:
    types = {each["name"]: each for each in client.get(f"{TASKS}types/").json()["results"]}
    add = types["add"]
    assert add["description"] == "Add two numbers."
    assert add["inputs"]["required"] == ["a"]
    assert set(add["inputs"]["properties"]) == {"a", "b"}
    assert add["inputs"]["additionalProperties"] is False
    assert set(add["outputs"]["properties"]) == {"sum"}


class ReadFromTheReplica:
    """A connection to another database than the tests': it refuses to be used."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "queue" if model._meta.app_label == "taskworks" else None


def test_no_replica_is_asked(client: APIClient, start: Any, settings: Any) -> None:
    settings.DATABASE_ROUTERS = [f"{__name__}.ReadFromTheReplica"]
    run = start("add", a=1)
    assert client.get(address(run["id"])).json()["id"] == run["id"]
    assert listed(client) == [run["id"]]
    assert client.post(address(run["id"], "cancel")).status_code in (200, 202)
