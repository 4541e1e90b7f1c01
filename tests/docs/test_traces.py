"""The code of the pages on traces, reports and instruments."""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
from django.utils.module_loading import import_string
from sentry_sdk.transport import Transport

from taskworks import instruments
from tests.docs.conftest import Capture, run, with_database, work
from tests.docs.pages import SNIPPETS, executes

SETTINGS = f"""
import sys

sys.path.insert(0, {str(SNIPPETS)!r})
INSTALLED_APPS = ["taskworks", "shop.traced_app.ShopConfig"]
TASKS = {{"default": {{"BACKEND": "taskworks.backends.database.DatabaseBackend"}}}}
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}}}
USE_TZ = True
"""
PROJECT = """
import os
import django
from django.core.management import call_command

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()
call_command("migrate", verbosity=0, skip_checks=True)
from shop.counting import count_lines

count_lines.enqueue("settings.py")
call_command("taskworks", "worker", "--batch", verbosity=0)
"""

BETWEEN = "}\n{"  # two spans that are printed


@pytest.fixture(autouse=True)
def _without_instruments() -> Iterator[None]:
    yield
    instruments.in_use = ()


@executes("shop/traced_app.py")
@pytest.mark.any_database
def test_a_project_that_traces(tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text(SETTINGS)
    (tmp_path / "project.py").write_text(PROJECT)
    done = subprocess.run(
        [sys.executable, "project.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    send, process = json.loads(f"[{done.stdout.replace(BETWEEN, '},{')}]")
    assert (send["name"], process["name"]) == ("send default", "process default")
    assert process["links"][0]["context"]["span_id"] == send["context"]["span_id"]
    assert process["resource"]["attributes"]["service.name"] == "shop"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The types of what settings that initialize Sentry's SDK send; the network is left out."""
    items: list[str] = []

    class Stub(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            items.extend(item.headers["type"] for item in envelope.items)

    init = partial(sentry_sdk.init, transport=Stub, auto_enabling_integrations=False)
    monkeypatch.setattr(sentry_sdk, "init", init)
    yield items
    sentry_sdk.get_global_scope().set_client(None)


@executes("shop/sentry_settings.py", "shop/sentry_monitors.py")
@with_database
def test_a_project_that_reports(sent: list[str]) -> None:
    from taskworks.sentry import TaskworksIntegration

    run("shop/sentry_settings.py")
    TaskworksIntegration.setup_once()  # as in a new process
    import_string("shop.counting.count_lines").using(max_attempts=1).enqueue("none.csv")
    work()
    assert sent.count("event") == 1
    run("shop/sentry_monitors.py")
    integration: Any = sentry_sdk.get_client().get_integration(TaskworksIntegration)
    assert integration.monitors


@executes("reference/instruments.py")
@with_database
def test_an_instrument_of_a_project(capsys: Capture) -> None:
    names = run("reference/instruments.py")
    names["Tenant"].current = "acme"
    Path("orders.csv").write_text("one\n")
    import_string("shop.counting.count_lines").enqueue("orders.csv")
    work()
    assert "shop.counting.count_lines of acme: successful\n" in capsys.readouterr().out
