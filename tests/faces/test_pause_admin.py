"""Pauses in the admin."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from django.utils.html import escape

from taskworks import control
from taskworks.models import Pause
from taskworks.models.pause import Scope
from taskworks.store import Store, store
from tests import limited  # noqa: F401 - it declares limits
from tests.behavior import database_now

pytestmark = pytest.mark.django_db

LIST = "/admin/taskworks/pause/"
ADD = f"{LIST}add/"


def logged_in(client: Client, *permissions: str) -> Client:
    user = User.objects.create_user("anna", is_staff=True)
    for action in permissions:
        user.user_permissions.add(Permission.objects.get(codename=f"{action}_pause"))
    client.force_login(user)
    return client


@pytest.fixture
def admin_client(client: Client) -> Client:
    return logged_in(client, "view", "add", "change", "delete")


def page(client: Client, url: str = LIST) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def post(client: Client, url: str, **fields: Any) -> str:
    """What the page says of the fields; nothing if they were taken."""
    given = {"kind": "queue", "backend": "default", "name": "mail", "key": "", "reason": ""}
    given |= {"until_0": "", "until_1": ""}
    response = client.post(url, given | fields)
    if response.status_code == 302:
        return ""
    assert response.status_code == 200
    return " ".join(re.findall(r"errorlist.*?<li>(.*?)</li>", response.content.decode(), re.DOTALL))


def test_a_queue_is_paused_changed_and_resumed(admin_client: Client) -> None:
    assert post(admin_client, ADD, reason="no space") == ""
    [paused] = control.pauses()
    assert (paused.name, paused.backend, paused.until) == ("mail", "default", None)
    assert (paused.reason, paused.by) == ("no space", "anna")
    assert "no space" in page(admin_client)
    of_pause = f"{LIST}{paused.pk}/"
    assert "no space" in page(admin_client, f"{of_pause}change/")
    tomorrow = timezone.localtime() + timedelta(days=1)
    until = {"until_0": f"{tomorrow:%Y-%m-%d}", "until_1": f"{tomorrow:%H:%M:%S}"}
    assert post(admin_client, f"{of_pause}change/", name="ignored", **until) == ""
    [paused] = control.pauses()
    assert (paused.name, paused.reason) == ("mail", "")
    assert paused.until == tomorrow.replace(microsecond=0)
    admin_client.post(f"{of_pause}delete/", {"post": "yes"})
    assert control.pauses() == []


def test_a_second_pause_takes_the_place_of_the_first(admin_client: Client) -> None:
    control.pause("mail", by="somebody", reason="no space")
    assert post(admin_client, ADD) == ""
    [paused] = control.pauses()
    assert (paused.by, paused.reason) == ("anna", "")


def test_several_are_resumed_at_once(admin_client: Client) -> None:
    kept, *gone = [control.pause(name) for name in ("default", "mail", "imports")]
    chosen = {"_selected_action": [pause.pk for pause in gone]}
    admin_client.post(LIST, {"action": "delete_selected", "post": "yes", **chosen})
    assert control.pauses() == [kept]


def test_the_workers_are_told(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these is done by the store, which tells them."""
    done: list[str] = []
    for name in ("pause", "resume"):
        real = getattr(type(store()), name)

        def noted(
            self: Store, scope: Scope, name: str = name, real: Any = real, **options: Any
        ) -> Any:
            done.append(name)
            return real(self, scope, **options)

        monkeypatch.setattr(type(store()), name, noted)
    post(admin_client, ADD)
    of_pause = f"{LIST}{Pause.objects.get().pk}/"
    post(admin_client, f"{of_pause}change/", reason="another")
    admin_client.post(f"{of_pause}delete/", {"post": "yes"})
    assert done == ["pause", "pause", "resume"]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"name": "mial"}, "Did you mean"),
        ({"name": "n" * 129}, "must be 1 to 128 printable characters"),
        ({"name": ""}, "required"),
        ({"name": "a\0b"}, "Null characters"),
        ({"backend": "dummy"}, "not one of the available choices"),
        ({"until_0": "2020-01-01", "until_1": "00:00"}, "must be in the future"),
        ({"until_0": "x", "until_1": "y"}, "Enter a valid"),
        ({"reason": "r" * 1001}, "at most 1000 characters"),
    ],
    ids=str,
)
def test_bad_input_is_refused_at_its_field(
    admin_client: Client, fields: dict[str, str], error: str
) -> None:
    assert error in post(admin_client, ADD, **fields)
    assert not Pause.objects.exists()


def test_a_pause_that_has_ended_is_not_shown(admin_client: Client) -> None:
    control.pause("mail", reason="no space")
    Pause.objects.update(until=database_now())
    assert "no space" not in page(admin_client)


def test_who_may_only_look_changes_nothing(client: Client) -> None:
    paused = control.pause("mail", reason="no space")
    reader = logged_in(client, "view")
    assert "no space" in page(reader)
    for url in (ADD, f"{LIST}{paused.pk}/delete/"):
        assert reader.post(url, {"post": "yes"}).status_code == 403
    assert reader.post(f"{LIST}{paused.pk}/change/", {"reason": "x"}).status_code == 403
    assert control.pauses() == [paused]


def test_what_is_in_the_address_is_harmless(admin_client: Client) -> None:
    control.pause("mail", reason="no space")
    for query in ("?name=a%00b", "?o=9", "?name=mail", "?id__in=x"):
        assert admin_client.get(LIST + query).status_code in (200, 302)


# Tasks, limits and keys.

NOOP = "tests.tasks.noop"


@pytest.mark.parametrize(
    ("fields", "scope"),
    [
        ({"kind": "task", "name": NOOP}, Scope("task", NOOP)),
        ({"kind": "limit", "name": "intake"}, Scope("limit", "intake")),
        ({"kind": "limit", "name": "intake", "key": "7"}, Scope("limit", "intake", key="7")),
        (
            {"kind": "limit", "name": "intake", "key": "(none)"},
            Scope("limit", "intake", key="(none)"),
        ),
    ],
    ids=str,
)
def test_others_are_paused_changed_and_resumed(
    admin_client: Client, fields: dict[str, str], scope: Scope
) -> None:
    assert post(admin_client, ADD, **fields, reason="no space") == ""
    [paused] = control.pauses()
    assert (paused.scope, paused.by) == (scope, "anna")
    assert escape(str(scope)) in page(admin_client)
    assert post(admin_client, ADD, **fields) == ""  # which takes its place
    of_pause = f"{LIST}{paused.pk}/"
    assert post(admin_client, f"{of_pause}change/", reason="another") == ""
    [changed] = control.pauses()
    assert (changed.pk, changed.scope, changed.reason) == (paused.pk, scope, "another")
    admin_client.post(f"{of_pause}delete/", {"post": "yes"})
    assert control.pauses() == []


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"kind": "task", "name": "tests.tasks.nop"}, "There is no task"),
        ({"kind": "task", "name": NOOP, "key": "a"}, "A key is that of a limit"),
        ({"kind": "limit", "name": "intakes"}, "do not declare a limit"),
        ({"kind": "limit", "name": "l" * 65}, "must be 1 to 64 printable characters"),
        ({"kind": "limit", "name": "mailer", "key": "a"}, "has no keys"),
        ({"kind": "limit", "name": "intake", "key": "k" * 129}, "at most 128 characters"),
        ({"kind": "queue", "name": "mail", "key": "a"}, "A key is that of a limit"),
        ({"kind": "colour"}, "not one of the available choices"),
    ],
    ids=str,
)
def test_bad_names_are_refused(admin_client: Client, fields: dict[str, str], error: str) -> None:
    assert error in post(admin_client, ADD, **fields)
    assert not Pause.objects.exists()
