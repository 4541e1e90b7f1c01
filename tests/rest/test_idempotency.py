"""An Idempotency-Key starts one run, however often and however simultaneously it is sent."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from rest_framework.test import APIClient

from taskworks.models import TaskRun, UniqueKey
from taskworks.store import Store, store
from tests.behavior import received, run_worker
from tests.connections import begin_elsewhere, elsewhere, held_elsewhere
from tests.rest import TASKS, address, offered
from tests.rest.conftest import signed_in
from tests.waiting import wait_for

ADD = {"task": "add", "inputs": {"a": 1}}


def post(client: APIClient, body: Any = ADD, key: str = "once") -> Any:
    return client.post(TASKS, body, format="json", HTTP_IDEMPOTENCY_KEY=key)


def test_the_first_run_is_returned_again(client: APIClient) -> None:
    first = post(client)
    assert first.status_code == 201
    run_worker()
    again = post(client)
    assert again.status_code == 200
    assert again["Location"] == first["Location"]
    assert again.json() == client.get(address(first.json())).json()
    assert TaskRun.objects.count() == 1


def test_the_same_inputs_may_be_spelt_differently(client: APIClient) -> None:
    first = post(client)
    again = post(client, {"inputs": {"a": "1"}, "task": "add"})
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])


@pytest.mark.parametrize(
    "other", [{"task": "add", "inputs": {"a": 2}}, {"task": "no inputs", "inputs": {}}]
)
def test_a_key_is_not_used_for_something_else(client: APIClient, other: Any) -> None:
    post(client)
    response = post(client, other)
    assert response.status_code == 422
    assert list(response.json()) == ["idempotency_key"]
    assert TaskRun.objects.count() == 1


def test_another_key_and_another_user_start_another(client: APIClient) -> None:
    User.objects.create_user("bob")
    assert post(client).status_code == 201
    assert post(client, key="twice").status_code == 201
    assert post(signed_in("bob")).status_code == 201


def test_a_refused_request_uses_up_no_key(client: APIClient) -> None:
    assert post(client, {"task": "add", "inputs": {}}).status_code == 400
    assert post(client).status_code == 201


def test_of_simultaneous_requests_one_starts_a_run(ann: Any) -> None:
    def request(_: int) -> tuple[int, str]:
        try:
            response = post(signed_in("ann"))
            return response.status_code, response.json()["id"]
        finally:
            connections.close_all()

    with received(task_enqueued()) as sent, ThreadPoolExecutor(8) as executor:
        answers = list(executor.map(request, range(8)))
    assert sorted(status for status, _ in answers) == [200] * 7 + [201]
    assert len({run_id for _, run_id in answers}) == 1
    assert TaskRun.objects.count() == UniqueKey.objects.count() == len(sent) == 1


def test_a_request_waits_for_another_that_has_not_committed(ann: Any) -> None:
    with held_elsewhere(lambda: post(signed_in("ann")).json()["id"]) as first:
        second = begin_elsewhere(lambda: post(signed_in("ann")))
        assert not second.done()
    answer = second.result(timeout=30)
    assert (answer.status_code, answer.json()["id"]) == (200, first)


def test_a_request_goes_ahead_if_the_other_rolls_back(client: APIClient, ann: Any) -> None:
    from django.db import transaction

    def roll_back() -> None:
        with transaction.atomic():
            post(signed_in("ann"))
            transaction.set_rollback(True)

    elsewhere(roll_back)
    assert post(client).status_code == 201
    assert TaskRun.objects.count() == 1


def test_of_several_that_wait_one_goes_ahead_if_the_other_rolls_back(
    ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import transaction

    begun: list[None] = []
    waiting: list[Any] = []
    enqueue_once = Store.enqueue_once

    def noted(*args: Any, **kwargs: Any) -> TaskRun:
        begun.append(None)
        return enqueue_once(*args, **kwargs)

    def roll_back() -> None:
        with transaction.atomic():
            post(signed_in("ann"))
            waiting.extend(begin_elsewhere(lambda: post(signed_in("ann"))) for _ in range(4))
            wait_for(lambda: len(begun) == 5, "all wait for this one")
            transaction.set_rollback(True)

    monkeypatch.setattr(Store, "enqueue_once", noted)
    elsewhere(roll_back)
    answers = [each.result(timeout=30).status_code for each in waiting]
    assert sorted(answers) == [200, 200, 200, 201]
    assert TaskRun.objects.count() == 1


def test_a_key_goes_with_its_run(client: APIClient) -> None:
    first = post(client).json()["id"]
    post(client, key="kept")
    TaskRun.objects.filter(id=first).delete()
    second = post(client)
    assert second.status_code == 201
    assert second.json()["id"] != first


def test_pruning_takes_the_keys_of_what_it_deletes(client: APIClient) -> None:
    from taskworks.options.retention import Rule

    pruned, kept = post(client).json()["id"], post(client, key="kept").json()["id"]
    run_worker("--max-tasks", "1")
    rule = Rule("default", "successful", timedelta(0))
    assert store().prune(rule, [*TaskRun.objects.values_list("id", flat=True)]) == 1
    assert str(UniqueKey.objects.get().run) == kept
    assert str(TaskRun.objects.get().id) == kept != pruned


def task_enqueued() -> Any:
    from taskworks.signals import task_enqueued

    return task_enqueued


def test_a_run_that_nobody_asks_for_twice_has_no_row(client: APIClient) -> None:
    offered.Add.enqueue(a=1)
    client.post(TASKS, ADD, format="json")
    assert not UniqueKey.objects.exists()


class TestNobodySKey:
    """That of a user who is not signed in."""

    SECRET = "7c1e4b0fa2d84f6c9f8a3f5f0b6e2d11"

    @pytest.fixture(autouse=True)
    def _open_to_all(self, configured: Any, settings: Any) -> None:
        configured(API_PERMISSION_CLASSES=["rest_framework.permissions.AllowAny"])
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
        settings.MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware"]

    def visitor(self) -> APIClient:
        """Somebody with a session."""
        client = signed_in(None)
        session = client.session
        session["basket"] = [1]
        session.save()
        return client

    def test_is_refused_if_it_can_be_guessed(self) -> None:
        response = post(signed_in(None), key="order-17")
        assert response.status_code == 400
        assert "32 random characters" in response.json()["idempotency_key"][0]
        assert not TaskRun.objects.exists()

    def test_starts_one_run_if_it_is_a_secret(self) -> None:
        first = post(signed_in(None), key=self.SECRET)
        again = post(signed_in(None), key=self.SECRET)
        assert (first.status_code, again.status_code) == (201, 200)
        assert again.json()["id"] == first.json()["id"]

    @pytest.mark.parametrize("engine", ["cache", "signed_cookies"])
    def test_is_not_made_a_secret_by_a_session_that_is_made_up(
        self, settings: Any, engine: str
    ) -> None:
        settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
        client = signed_in(None)
        client.cookies["sessionid"] = "12345678901234567890"
        assert post(client, key="order-17").status_code == 400

    def test_starts_one_run_of_its_session(self) -> None:
        visitor = self.visitor()
        first, again = post(visitor, key="order-17"), post(visitor, key="order-17")
        assert (first.status_code, again.status_code) == (201, 200)
        assert again.json()["id"] == first.json()["id"]
        other = post(self.visitor(), key="order-17")
        assert other.status_code == 201
        assert other.json()["id"] != first.json()["id"]

    @pytest.mark.parametrize("has_session", [True, False])
    def test_that_was_used_otherwise_tells_no_id(self, has_session: bool) -> None:
        client = self.visitor() if has_session else signed_in(None)
        first = post(client, key=self.SECRET).json()["id"]
        answer = post(client, {"task": "add", "inputs": {"a": 2}}, key=self.SECRET)
        assert answer.status_code == 422
        assert first not in answer.content.decode()
