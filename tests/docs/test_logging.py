"""The code of the page on logs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import SNIPPETS, executes

# As a project does it: Django reads LOGGING before it knows of any app.
SETTINGS = f"""
import sys

sys.path.insert(0, {str(SNIPPETS)!r})

from shop.log_settings import LOGGING

INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "taskworks", "shop"]
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

for path in ("orders.csv", "none.csv"):
    print(count_lines.enqueue(path).id, flush=True)
call_command("taskworks", "worker", "--batch", verbosity=0)
"""


@executes("shop/log_settings.py", "shop/logs.py", "shop/counting.py")
@pytest.mark.any_database
def test_logs_are_json(tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text(SETTINGS)
    (tmp_path / "orders.csv").write_text("one\ntwo\n")
    (tmp_path / "project.py").write_text(PROJECT)
    done = subprocess.run(
        [sys.executable, "project.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    counted, missing = done.stdout.split()
    lines = [json.loads(line) for line in done.stderr.splitlines()]
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
    assert {line["correlation_id"] for line in lines} == {"-"}


def _of(logger: str, lines: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [
        (line["level"], line["task_id"], line["message"])
        for line in lines
        if line["logger"] == logger
    ]
