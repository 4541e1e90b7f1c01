"""The code of the pages on endpoints."""

import subprocess
import sys
from importlib import import_module
from inspect import signature
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core import mail
from rest_framework.test import APIRequestFactory, force_authenticate

from taskworks import endpoints
from taskworks.models import TaskRun
from tests.docs.conftest import make_due, only, run, with_database, work
from tests.docs.pages import executes, reference

make = APIRequestFactory().post


def by(user: User, data: dict[str, str]) -> Any:
    """A request of who is signed in."""
    request = make("/", data)
    force_authenticate(request, user)
    return request


def subjects() -> list[str]:
    return [letter.subject for letter in mail.outbox]


@executes("accounts/signup.py")
@with_database
def test_a_view_has_tasks() -> None:
    view = import_module("accounts.signup").SignUp.as_view()
    answer = view(make("/", {"username": "ada", "first_name": " ada ", "email": "a@example.com"}))
    assert (answer.status_code, answer.data["first_name"]) == (201, "Ada")
    work()
    assert [letter.body for letter in mail.outbox] == ["Dear Ada ..."]
    assert only("accounts.signup.SignUp.ask_how_it_goes").state == "scheduled"
    make_due()
    work()
    assert subjects() == ["Welcome", "How is it going?"]


@executes("accounts/closing.py")
@with_database
def test_a_view_says_when() -> None:
    user = User.objects.create(username="ada")
    view = import_module("accounts.closing").CloseAccount.as_view()
    assert view(make("/", {"reason": "bored"})).status_code == 403
    assert view(by(user, {"reason": "x" * 151})).status_code == 400
    answer = view(by(user, {"reason": "bored"}))
    assert answer.status_code == 202
    assert [run["task"] for run in answer.data["runs"]] == ["close"]  # she has no address
    work()
    assert (User.objects.get().is_active, User.objects.get().last_name) == (False, "bored")


def as_a_server(view: Any) -> Any:
    """An async view, called like any other."""
    return async_to_sync(view)


@executes("accounts/async_views.py", "accounts/async_atomic.py")
@with_database
def test_async_views_have_tasks() -> None:
    views = import_module("accounts.async_views")
    at_once = import_module("accounts.async_atomic").SignUpAtOnce
    for view in (views.SignUp, at_once):
        given = {"username": view.__name__, "email": "a@example.com"}
        assert as_a_server(view.as_view())(make("/", given)).status_code == 201
    answer = as_a_server(views.WelcomeAgain.as_view())(by(User.objects.all()[0], {}))
    assert (answer.status_code, len(answer.data["runs"])) == (202, 1)
    work()
    assert subjects() == ["Welcome"] * 3


@with_database
def test_both_are_saved_or_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = import_module("accounts.async_atomic").SignUpAtOnce

    def fail(view: Any) -> None:
        raise LookupError

    monkeypatch.setattr(at_once, "finalize", fail)
    with pytest.raises(LookupError):
        as_a_server(at_once.as_view())(make("/", {"username": "ada"}))
    assert not User.objects.exists()


@executes("accounts/profile.py")
@with_database
def test_a_view_is_declared() -> None:
    user = User.objects.create(username="ada", email="a@example.com")
    view = import_module("accounts.profile").Rename.as_view()
    assert view(make("/", {"name": "Ada"})).status_code == 403
    answer = view(by(user, {"name": "Ada"}))
    assert (answer.status_code, answer.data) == (202, {"username": "ada", "first_name": "Ada"})
    work()
    assert [letter.body for letter in mail.outbox] == ["Your name is now Ada."]
    assert TaskRun.objects.get().queue_name == "mail"
    assert view(by(user, {})).status_code == 400


@executes("accounts/declarative.py")
@with_database
def test_one_who_comes_from_declarative_apis() -> None:
    User.objects.create(username="ada", email="a@example.com")
    User.objects.create(username="bob")
    view = import_module("accounts.declarative").UserEndpoint.as_view()
    for name in ("ada", "bob"):
        assert view(APIRequestFactory().get("/"), username=name).data == {"username": name}
    work()
    assert subjects() == ["A visit"]


# As a project does it: Django reads LOGGING before it knows of any app.
PROJECT = """
import logging
import django
from django.conf import settings
settings.configure(
    LOGGING={logging},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "taskworks"],
)
django.setup()
logging.getLogger("accounts").warning("hello")
"""


@executes("accounts/logging.py")
@pytest.mark.any_database
def test_a_log_with_correlation_ids() -> None:
    project = PROJECT.format(logging=run("accounts/logging.py")["LOGGING"])
    done = subprocess.run(
        [sys.executable, "-c", project], capture_output=True, text=True, check=False
    )
    assert done.stderr == "WARNING [-] hello\n"


@pytest.mark.any_database
@pytest.mark.parametrize("decorator", [endpoints.task, endpoints.deferrable_task])
def test_the_reference_has_every_option_with_its_default(decorator: object) -> None:
    page = reference("endpoints").split(f"\n## `{decorator.__name__}`\n")[1].split("\n## ")[0]
    for name, option in signature(decorator).parameters.items():
        if name != "function":
            assert f"| `{name}` | `{option.default}` |" in page


@pytest.mark.any_database
def test_the_reference_has_every_name() -> None:
    page = reference("endpoints")
    for name in endpoints.__all__:
        assert f"`{name}" in page
    for kind in (endpoints.EndpointTasks, endpoints.EndpointDefinition):
        for name in vars(kind):
            if not name.startswith("_") and name not in OF_THE_FRAMEWORK:
                assert f"| `{name}" in page, name


OF_THE_FRAMEWORK = {"get", "post", "put", "patch", "delete", "initial", "check_permissions"} | {
    "request"
}
