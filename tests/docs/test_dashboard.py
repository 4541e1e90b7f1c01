"""The code of the page on the dashboard."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from taskworks.dashboard.redaction import redacted
from taskworks.models import TaskRun
from tests.docs.conftest import run, with_database
from tests.docs.pages import executes


@pytest.fixture
def site(settings: Any) -> None:
    settings.ROOT_URLCONF = "shop.dashboard_urls"


@executes("shop/dashboard_urls.py", "shop/access.py", "shop/access_settings.py")
@with_database
def test_a_function_says_who_may_do_what(site: None, settings: Any, client: Client) -> None:
    user = User.objects.create_superuser("anna")
    client.force_login(user)
    assert client.get("/tasks/").status_code == 200
    settings.TASKWORKS = run("shop/access_settings.py")["TASKWORKS"]
    assert client.get("/tasks/").status_code == 403
    user.groups.add(Group.objects.create(name="support"))
    assert client.get("/tasks/").status_code == 200


@executes("shop/redact.py", "shop/redact_settings.py")
def test_a_function_hides_more(settings: Any) -> None:
    settings.TASKWORKS = run("shop/redact_settings.py")["TASKWORKS"]
    order = TaskRun(task_path="shop.tasks.send", kwargs={"to": 5, "address": "Main Street 1"})
    assert redacted(order, "kwargs") == {"to": 5, "address": "(hidden)"}
