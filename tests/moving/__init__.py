"""``manage.py taskworks move``, with the packages from which runs are moved."""

import json
import os
from contextlib import suppress
from importlib import import_module
from io import StringIO
from typing import Any

import django
import pytest
from django.core.management import CommandError, call_command


def required(package: str) -> Any:
    """The package; without it, the tests of a module are skipped, except in CI."""
    return import_module(package) if os.environ.get("CI") else pytest.importorskip(package)


def required_on(package: str, below: tuple[int, int]) -> Any:
    """The same, of a package that does not support the newest Django of the matrix."""
    if below <= django.VERSION[:2]:
        pytest.skip(
            f"{package} does not support Django {django.get_version()}", allow_module_level=True
        )
    return required(package)


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
