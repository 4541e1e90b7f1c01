"""What `test_admin_themes.py` runs with the settings beside this."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from selenium import webdriver

from taskworks import control
from taskworks.models import Limit, RunState, Schedule, Worker
from taskworks.workflows import Workflow
from tests import tasks
from tests.dashboard.test_accessibility import axe
from tests.faces.conftest import LONG_AGO, MakeRun
from tests.faces.test_admin_in_browser import browser, site

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["browser", "site"]

ENTRY = "/admin/taskworks/dashboard/"
# The colors of a theme are its own, and not all of them have a contrast of 4.5.
LEAST = 3
CONTRAST = """
    const [least, done] = arguments;
    axe.run(document, {runOnly: ["color-contrast"], resultTypes: ["violations"]})
        .then(({violations}) => done(violations.flatMap((one) => one.nodes)
            .filter((node) => node.any[0].data.contrastRatio < least)
            .map((node) => `${node.any[0].message} ${node.html.slice(0, 200)}`)));
"""


@pytest.fixture
def pages(make_run: MakeRun, worker: Worker) -> dict[str, str]:
    """The pages of the admin that are ours, with something on each."""
    for state in RunState.values:
        make_run(state)
    traceback = "Traceback (most recent call last):\n  ...\nValueError: no"
    error = {
        "attempt": 1,
        "at": LONG_AGO,
        "worker_id": "w",
        "exception_class_path": "builtins.ValueError",
        "traceback": traceback,
    }
    run = make_run("failed", errors=[error])
    schedule = Schedule(label="nightly", path="tests.tasks.noop", cron="@daily")
    schedule.save()
    limit = Limit.objects.create(name="narrow", declared={"at_once": 5}, at_once=5)
    pause = control.pause("mail", reason="of a test", by="anna")
    workflow = Workflow("import")
    workflow.add("fetch", tasks.noop)
    rows = {
        "taskrun": run.id,
        "worker": worker.id,
        "schedule": schedule.pk,
        "limit": limit.pk,
        "pause": pause.pk,
        "workflow": workflow.enqueue().id,
    }
    admin = {"index": reverse("admin:index"), "app": reverse("admin:app_list", args=["taskworks"])}
    lists = {name: reverse(f"admin:taskworks_{name}_changelist") for name in rows}
    forms = {
        f"a {name}": reverse(f"admin:taskworks_{name}_change", args=[pk])
        for name, pk in rows.items()
    }
    new = {f"new {name}": reverse(f"admin:taskworks_{name}_add") for name in ("schedule", "pause")}
    failed = {"failed runs": f"{lists['taskrun']}?state__exact=failed"}
    return {**admin, **lists, **failed, **forms, **new}


def test_every_page_works(client: Client, pages: dict[str, str]) -> None:
    client.force_login(User.objects.create_superuser("root"))
    for name, address in pages.items():
        response = client.get(address)
        assert response.status_code == 200, (name, response.status_code)
    assert ENTRY in client.get(pages["index"]).content.decode()
    assert client.get(client.get(ENTRY)["Location"]).status_code == 200


def test_every_page_is_readable(
    site: str, browser: webdriver.Chrome, pages: dict[str, str], settings: Any
) -> None:
    script, found = axe(), {}
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        for name, address in pages.items():
            browser.get(f"{site}{address}")
            browser.execute_script(script)
            if broken := browser.execute_async_script(CONTRAST, LEAST):
                found[scheme, name] = broken
    assert found == {}
