"""Who may see and touch what: closed unless the settings open it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core import checks
from django.test import Client
from rest_framework.test import APIClient

from taskworks.models import TaskRun
from tests.rest import TASKS, address, offered

UNKNOWN = "019aa61d-1c44-7000-8000-000000000000"
ADD = {"task": "add", "inputs": {"a": 1}}
AddressOf = Callable[[Any], str]
EVERYTHING: list[tuple[str, AddressOf]] = [
    ("get", lambda run: TASKS),
    ("post", lambda run: TASKS),
    ("get", lambda run: f"{TASKS}types/"),
    ("get", lambda run: f"{TASKS}schema/"),
    ("get", address),
    ("post", lambda run: address(run, "cancel")),
    ("post", lambda run: address(run, "retry")),
    ("get", lambda run: address(run, "events")),
]
OF_A_RUN = EVERYTHING[4:]


@pytest.mark.parametrize(("method", "where"), EVERYTHING)
def test_nobody_is_let_in_who_is_not_signed_in(
    start: Any, client_of: Any, method: str, where: AddressOf
) -> None:
    run = start("add", a=1)
    response = getattr(client_of(None), method)(where(run), ADD, format="json")
    assert response.status_code == 401
    assert response.json() == {"detail": "Authentication credentials were not provided."}
    assert TaskRun.objects.count() == 1


@pytest.mark.parametrize(("method", "where"), OF_A_RUN)
def test_another_user_s_run_is_not_to_be_told_from_none(
    start: Any, client_of: Any, method: str, where: AddressOf
) -> None:
    run = start("add", a=1)
    User.objects.create_user("bob")
    theirs = getattr(client_of("bob"), method)(where(run))
    none = getattr(client_of("bob"), method)(where(UNKNOWN))
    assert theirs.status_code == none.status_code == 404
    assert theirs.json() == none.json()
    assert TaskRun.objects.get().state == "ready"


def test_a_list_has_the_user_s_own(client: APIClient, client_of: Any, start: Any) -> None:
    run = start("add", a=1)
    offered.plain.enqueue("nobody's")
    User.objects.create_user("bob")
    assert [each["id"] for each in client.get(TASKS).json()["results"]] == [run["id"]]
    assert client_of("bob").get(TASKS).json()["results"] == []


def test_a_run_that_is_nobody_s_is_for_staff(
    client: APIClient, client_of: Any, staff: User
) -> None:
    run = offered.plain.enqueue("x")
    assert client.get(address(run)).status_code == 404
    assert client_of("root").get(address(run)).status_code == 200


def test_staff_see_and_touch_what_they_have_the_permission_for(start: Any, client_of: Any) -> None:
    run = start("add", a=1)
    helper = User.objects.create_user("helper", is_staff=True)
    assert client_of("helper").get(address(run)).status_code == 404
    assert client_of("helper").get(TASKS).json()["results"] == []
    helper.user_permissions.add(Permission.objects.get(codename="view_taskrun"))
    assert client_of("helper").get(address(run)).status_code == 200
    assert len(client_of("helper").get(TASKS).json()["results"]) == 1
    assert client_of("helper").get(TASKS, {"mine": "true"}).json()["results"] == []
    assert client_of("helper").post(address(run, "cancel")).status_code == 404
    helper.user_permissions.add(Permission.objects.get(codename="change_taskrun"))
    assert client_of("helper").post(address(run, "cancel")).status_code == 200


def test_a_permission_alone_makes_nobody_staff(start: Any, client_of: Any) -> None:
    run = start("add", a=1)
    bob = User.objects.create_user("bob")
    bob.user_permissions.add(Permission.objects.get(codename="view_taskrun"))
    assert client_of("bob").get(address(run)).status_code == 404


def test_what_is_not_offered_its_owner_sees_and_does_not_change(
    client: APIClient, client_of: Any, ann: User, staff: User
) -> None:
    run = offered.plain.using(owner=ann).enqueue("x")
    assert client.get(address(run)).status_code == 200
    for verb in ("cancel", "retry"):
        assert client.post(address(run, verb)).status_code == 403
    assert TaskRun.objects.get().state == "ready"
    assert client_of("root").post(address(run, "cancel")).status_code == 200


# Sessions.


def test_a_session_needs_the_token_against_forgery(ann: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ann)
    response = client.post(TASKS, ADD, content_type="application/json")
    assert response.status_code == 403
    assert response.json()["detail"].startswith("CSRF Failed")
    client.cookies["csrftoken"] = token = "x" * 32
    response = client.post(TASKS, ADD, content_type="application/json", HTTP_X_CSRFTOKEN=token)
    assert response.status_code == 201


# Settings.


ALLOW_ANY = ["rest_framework.permissions.AllowAny"]


def test_the_settings_may_open_it(configured: Any, client_of: Any) -> None:
    configured(API_PERMISSION_CLASSES=ALLOW_ANY)
    nobody = client_of(None)
    run = nobody.post(TASKS, ADD, format="json").json()
    assert nobody.get(address(run)).status_code == 200  # who knows its id
    assert nobody.get(TASKS).json()["results"] == []
    assert nobody.post(address(run, "cancel")).status_code == 200


def test_who_comes_in_without_a_name_sees_nobody_else_s(
    configured: Any, client_of: Any, start: Any
) -> None:
    run = start("add", a=1)
    plain = offered.plain.enqueue("x")
    configured(API_PERMISSION_CLASSES=ALLOW_ANY)
    assert client_of(None).get(address(run)).status_code == 404
    assert client_of(None).get(address(plain)).status_code == 404


def test_the_seed_s_settings_are_honoured(settings: Any, client_of: Any) -> None:
    settings.TASK_API_PERMISSIONS_CLASSES = ALLOW_ANY
    assert client_of(None).post(TASKS, ADD, format="json").status_code == 201


def test_the_seed_s_authentication_is_honoured(
    settings: Any, configured: Any, ann: User, client_of: Any
) -> None:
    configured(API_AUTHENTICATION_CLASSES=[])
    assert client_of("ann").get(TASKS).status_code == 403
    settings.TASK_API_AUTHENTICATION_CLASSES = ["tests.rest.signing.ByName"]
    assert client_of("ann").get(TASKS).status_code == 200


@pytest.mark.parametrize(
    ("defaults", "status"),
    [
        ({}, 401),
        ({"DEFAULT_PERMISSION_CLASSES": ALLOW_ANY}, 200),
        ({"DEFAULT_PERMISSION_CLASSES": []}, 401),
    ],
)
def test_the_project_s_defaults_hold_where_it_has_set_them(
    settings: Any, client_of: Any, defaults: Any, status: int
) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, **defaults}
    assert client_of(None).get(TASKS).status_code == status


def test_permissions_by_model_find_one(settings: Any, client: APIClient, ann: User) -> None:
    by_model = "rest_framework.permissions.DjangoModelPermissions"
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_PERMISSION_CLASSES": [by_model]}
    assert client.post(TASKS, ADD, format="json").status_code == 403
    ann.user_permissions.add(Permission.objects.get(codename="add_taskrun"))
    assert client.post(TASKS, ADD, format="json").status_code == 201


@pytest.mark.parametrize("key", ["API_PERMISSION_CLASSES", "TASK_API_PERMISSIONS_CLASSES"])
def test_an_empty_list_opens_nothing(
    settings: Any, configured: Any, client_of: Any, key: str
) -> None:
    if key.startswith("TASK"):
        setattr(settings, key, [])
    else:
        configured(**{key: []})
    assert client_of(None).get(TASKS).status_code == 401
    assert [message.id for message in checks.run_checks()] == ["taskworks.W040"]


@pytest.mark.parametrize("key", ["API_PERMISSION_CLASSES", "API_AUTHENTICATION_CLASSES"])
def test_a_class_that_cannot_be_imported_is_an_error_at_start(configured: Any, key: str) -> None:
    configured(**{key: ["tests.rest.absent"]})
    [message] = checks.run_checks()
    assert message.id == "taskworks.E040"
    assert '"absent"' in message.msg


def test_a_wrong_setting_is_one_error(configured: Any) -> None:
    configured(HEARTBEAT=5)
    assert [message.id for message in checks.run_checks()] == ["taskworks.E004"]


# Of single tasks.


def test_a_task_may_be_for_some(client: APIClient, client_of: Any, staff: User) -> None:
    body = {"task": "for staff", "inputs": {}}
    assert client.post(TASKS, body, format="json").status_code == 403
    assert client_of("root").post(TASKS, body, format="json").status_code == 201
    assert TaskRun.objects.count() == 1


def test_types_has_what_the_user_may_start(client: APIClient, client_of: Any, staff: User) -> None:
    def names(client: APIClient) -> set[str]:
        return {each["name"] for each in client.get(f"{TASKS}types/").json()["results"]}

    assert names(client_of("root")) - names(client) == {"for staff"}


def test_a_task_may_be_throttled(client: APIClient) -> None:
    body = {"task": "scarce", "inputs": {}}
    assert [client.post(TASKS, body, format="json").status_code for _ in range(3)] == [
        201,
        201,
        429,
    ]
    response = client.post(TASKS, body, format="json")
    assert int(response["Retry-After"]) > 0
    assert client.post(TASKS, ADD, format="json").status_code == 201
    assert TaskRun.objects.count() == 3


def test_a_scope_without_a_rate_is_an_error_at_start(settings: Any) -> None:
    settings.REST_FRAMEWORK = {}
    assert [message.id for message in checks.run_checks()] == ["taskworks.E042"]
