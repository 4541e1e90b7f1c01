"""A subcommand imports what it needs itself, and nothing of the others."""

import json
import subprocess
import sys
from typing import Any

import pytest

SCRIPT = """
import json, sys
from contextlib import redirect_stdout, suppress
from io import StringIO
from django.core.management import execute_from_command_line

def imported_by(*arguments):
    before = {*sys.modules}
    with suppress(SystemExit), redirect_stdout(StringIO()) as output:
        execute_from_command_line(["manage.py", "taskworks", *arguments, "--help"])
    return output.getvalue(), sorted({*sys.modules} - before)

print(json.dumps({" ".join(one): imported_by(*one) for one in json.loads(sys.argv[1])}))
"""
COMMANDS: list[list[str]] = [[], ["mark"], ["health"], ["worker"]]  # each after those before it


@pytest.fixture(scope="module")
def told() -> Any:
    """What each prints, and the modules that it imports when those before it were called."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(COMMANDS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _implementations(modules: list[str]) -> list[str]:
    ours = [name.removeprefix("taskworks.management.") for name in modules]
    return [name for name in ours if name.endswith(("_command", "_commands"))]


@pytest.mark.parametrize(
    ("command", "implementations"),
    [
        ("", []),
        ("mark", ["mark_command"]),
        ("health", ["health_command"]),
        ("worker", ["supervision_command", "worker_command"]),
    ],
)
def test_a_subcommand_imports_no_other(told: Any, command: str, implementations: list[str]) -> None:
    _, modules = told[command]
    assert _implementations(modules) == implementations


def test_the_list_of_subcommands_needs_none_of_their_modules(told: Any) -> None:
    output, _ = told[""]
    assert "import-schedules" in output
    assert "Say what is wrong, in sentences, and what to do about it." in " ".join(output.split())


def test_each_has_its_own_arguments_and_those_of_django(told: Any) -> None:
    output, _ = told["mark"]
    assert "LABEL" in output
    assert "--traceback" in output
    assert "--critical" not in output
    assert "--critical" in told["health"][0]
