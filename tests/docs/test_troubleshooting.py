"""What the page on tasks that do not run shows is what the commands and the log say."""

import logging
import re
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from django.utils.module_loading import import_string

from taskworks.control import pause
from taskworks.models import TaskRun
from tests.docs.conftest import Capture, Settings, with_database, work
from tests.docs.pages import DOCS

CHANGING = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "ID"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+\+00:00", "TIME"),
    (r"\d+\.\d s", "SECONDS"),
]


def unchanging(text: str) -> str:
    """The text without its ids, times and durations."""
    for pattern, name in CHANGING:
        text = re.sub(pattern, name, text)
    return text


PAGE = unchanging((DOCS / "howto" / "troubleshooting.md").read_text())


def printed(capsys: Capture, *arguments: str) -> str:
    capsys.readouterr()
    call_command("taskworks", *arguments)
    return unchanging(capsys.readouterr().out)


def enqueue(**options: Any) -> TaskRun:
    count_words = import_string("shop.tasks.count_words").using(**options)
    return TaskRun.objects.get(id=count_words.enqueue("to be or not to be").id)


@with_database
def test_a_run_that_waits_for_a_worker(capsys: Capture) -> None:
    assert printed(capsys, "status") in PAGE
    run = enqueue()
    with pytest.raises(CommandError) as complaint:
        printed(capsys, "status")
    assert unchanging(capsys.readouterr().out) in PAGE
    assert f"CommandError: {complaint.value}" in PAGE
    assert printed(capsys, "show", str(run.id)) in PAGE


@with_database
def test_a_run_of_a_paused_queue(capsys: Capture) -> None:
    run = enqueue()
    pause("default", by="anna", reason="The provider is down.")
    for arguments in (("status",), ("show", str(run.id))):
        paused = [line for line in printed(capsys, *arguments).splitlines() if "paused" in line]
        assert len(paused) == 1
        assert f"\n{paused[0]}\n" in PAGE


@with_database
def test_a_run_that_is_not_there() -> None:
    with pytest.raises(CommandError) as refusal:
        call_command("taskworks", "show", "01a2257c-47aa-79a7-91e4-4612e1140c93")
    assert unchanging(str(refusal.value)) in PAGE


@with_database
def test_a_task_that_cannot_be_imported(caplog: pytest.LogCaptureFixture) -> None:
    enqueue()
    TaskRun.objects.update(task_path="shop.reports.summarize")
    with caplog.at_level(logging.WARNING, "taskworks.runs"):
        work()
    [record] = [record for record in caplog.records if record.name == "taskworks.runs"]
    assert unchanging(record.getMessage()) in PAGE


@with_database
def test_a_run_that_has_expired() -> None:
    run = enqueue(expires=60)
    TaskRun.objects.update(expires_at=timezone.now() - timedelta(minutes=5))
    work()
    run.refresh_from_db()
    assert unchanging(run.errors[-1]["traceback"].rstrip()) in PAGE


@pytest.mark.any_database
def test_a_backend_that_stores_nothing(settings: Settings, capsys: Capture) -> None:
    settings.TASKS = {"default": {"BACKEND": "taskworks.backends.immediate.ImmediateBackend"}}
    with pytest.raises(CommandError) as refusal:
        call_command("taskworks", "worker", "--batch")
    assert str(refusal.value).removeprefix("Error: ") in PAGE


def test_what_manage_py_says_without_the_app() -> None:
    project = (
        "from django.conf import settings; settings.configure(INSTALLED_APPS=[]);"
        "from django.core.management import execute_from_command_line as execute;"
        "execute(['manage.py', 'taskworks', 'worker'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", project], capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[0] in PAGE.splitlines()
    assert done.stderr.startswith("Unknown command")
