"""The code of the page on logs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog

from taskworks import task
from taskworks.framework import LOGGER_NAME
from taskworks.testing import run_tasks
from tests.docs.conftest import Capture, run, with_database
from tests.docs.pages import SNIPPETS, executes

# As a project does it: Django reads LOGGING before it knows of any app.
SETTINGS = f"""
import sys

sys.path.insert(0, {str(SNIPPETS)!r})

from shop.LOG_MODULE import LOGGING

INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "taskworks", "shop"]
TASKS = {{"default": {{"BACKEND": "taskworks.backends.database.DatabaseBackend"}}}}
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}}}
USE_TZ = True
SECRET_KEY = "of the tests"
ADMINS = [("Admin", "admin@example.com")]
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = "mails"
"""
PROJECT = """
import os
import django
from django.core.management import call_command

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()
call_command("migrate", verbosity=0, skip_checks=True)

ENQUEUE
call_command("taskworks", "worker", "--batch", verbosity=0)
"""


def run_project(folder: Path, log_module: str, enqueue: str) -> tuple[list[str], list[str]]:
    """What it prints, the ids of its runs, and the lines of its log."""
    (folder / "settings.py").write_text(SETTINGS.replace("LOG_MODULE", log_module))
    (folder / "orders.csv").write_text("one\ntwo\n")
    (folder / "project.py").write_text(PROJECT.replace("ENQUEUE", enqueue))
    done = subprocess.run(
        [sys.executable, "project.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr.splitlines()


ENQUEUE_TWO = """
from shop.counting import count_lines

for path in ("orders.csv", "none.csv"):
    print(count_lines.enqueue(path).id, flush=True)
"""


@executes("shop/log_settings.py", "shop/logs.py", "shop/counting.py")
@pytest.mark.any_database
def test_logs_are_json(tmp_path: Path) -> None:
    (counted, missing), logged = run_project(tmp_path, "log_settings", ENQUEUE_TWO)
    lines = [json.loads(line) for line in logged]
    assert _of("shop.counting", lines) == [
        ("INFO", counted, "Reading orders.csv."),
        ("INFO", missing, "Reading none.csv."),
        ("INFO", missing, "Reading none.csv."),
    ]
    runs = [line for line in lines if line["logger"] == "taskworks.runs"]
    assert sorted((run["task_id"], run["level"], run["task_state"]) for run in runs) == sorted(
        [
            (counted, "INFO", "successful"),
            (missing, "WARNING", "ready"),
            (missing, "INFO", "failed"),
        ]
    )
    [failure] = [line for line in lines if line["level"] == "ERROR"]
    assert missing in failure["message"]
    assert "FileNotFoundError" in failure["traceback"]
    [reading, *_] = [line for line in lines if line["logger"] == "shop.counting"]
    names = ("task_path", "task_queue", "task_attempt")
    assert [reading[name] for name in names] == ["shop.counting.count_lines", "default", 1]
    assert not any("correlation_id" in line for line in lines)


@task
def read_orders() -> None:
    structlog.get_logger().info("reading", path="orders.csv")
    structlog.get_logger().info("sending", task_id="its own")


@executes("shop/structured.py")
@pytest.mark.any_database
@with_database
def test_events_of_structlog_say_of_which_run_they_are(capsys: Capture) -> None:
    run("shop/structured.py")
    try:
        result = read_orders.using(metadata={"correlation_id": "req\n7"}).enqueue()
        run_tasks()
        structlog.get_logger().info("idle")
    finally:
        structlog.reset_defaults()
    reading, sending, idle = map(json.loads, capsys.readouterr().out.splitlines())
    del reading["timestamp"]
    assert reading == {
        "path": "orders.csv",
        "event": "reading",
        "task_id": result.id,
        "task_path": read_orders.module_path,
        "task_queue": "default",
        "task_attempt": 1,
        "correlation_id": "req\\n7",
        "level": "info",
    }
    assert sending["task_id"] == "its own"
    assert {*idle} == {"event", "level", "timestamp"}


CANCELLING = """
from taskworks import task
from taskworks.exceptions import TaskCancelled


@task
def stop_here() -> None:
    raise TaskCancelled
"""
ENQUEUE_FOUR = """
from cancelling import stop_here
from shop.counting import count_lines

waiting = count_lines.enqueue("orders.csv")
waiting.cancel()
failing = count_lines.using(max_attempts=1).enqueue("none.csv")
for result in (failing, waiting, stop_here.enqueue(), count_lines.enqueue("orders.csv")):
    print(result.id, flush=True)
"""


@executes("shop/production_log.py")
@pytest.mark.any_database
def test_failures_are_mailed_and_cancellations_are_not(tmp_path: Path) -> None:
    (tmp_path / "cancelling.py").write_text(CANCELLING)
    (failed, *others), logged = run_project(tmp_path, "production_log", ENQUEUE_FOUR)
    [mail] = [path.read_text() for path in (tmp_path / "mails").iterdir()]
    assert f"Task id={failed}" in mail
    assert "FileNotFoundError" in mail
    assert [line for line in logged if failed in line] == [
        line for line in logged if f" ERROR {LOGGER_NAME}: " in line
    ]
    assert logged.count("Traceback (most recent call last):") == 1
    assert not [line for line in logged if any(other in line for other in others)]
    first, last = logged[0], logged[-1]
    assert " INFO taskworks.worker.loop: Worker " in first
    assert " started; " in first
    assert " has stopped; " in last


def _of(logger: str, lines: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [
        (line["level"], line["task_id"], line["message"])
        for line in lines
        if line["logger"] == logger
    ]
