"""``manage.py taskworks move``, with the packages from which runs are moved."""

import json
import os
import sys
from contextlib import suppress
from importlib import import_module
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

OF_BEAT = ("django_celery_beat", "django_celery_results")
PYTHON_WITH_BEAT = (3, 12)  # the others have RQ; see pyproject.toml


def required(package: str) -> Any:
    """
    The package; without it, the tests of a module are skipped. In CI it must be there, on the
    Python that has it.
    """
    is_meant = (package in OF_BEAT) == (sys.version_info[:2] == PYTHON_WITH_BEAT)
    if os.environ.get("CI") and (is_meant or package == "django_tasks_db"):
        return import_module(package)
    return pytest.importorskip(package, exc_type=ImportError)


def taskworks(*arguments: str) -> str:
    """What a subcommand prints, and after it the sentence with which it ends, if it fails."""
    output = StringIO()
    try:
        call_command("taskworks", *arguments, stdout=output)
    except CommandError as error:
        output.write(f"{error.returncode}: {error}\n")
    return output.getvalue()


def refusal(*arguments: str) -> tuple[int, str]:
    """The exit code and the sentence of a subcommand that prints nothing else."""
    output = StringIO()
    with pytest.raises(CommandError) as error:
        call_command("taskworks", *arguments, stdout=output)
    assert output.getvalue() == ""
    return error.value.returncode, str(error.value)


def counts(*arguments: str) -> dict[str, tuple[int, int]]:
    """How many runs of each task were moved and left."""
    output = StringIO()
    with suppress(CommandError):  # some were left
        call_command("taskworks", *arguments, "--json", stdout=output)
    tasks = json.loads(output.getvalue())["tasks"]
    return {task["task_path"]: (task["moved"], task["left"]) for task in tasks}
