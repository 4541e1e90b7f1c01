"""Killed at any statement from the enqueue to the end: another one goes on, nothing is lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.workers import where_the_database_is
from tests.on_request import on_request

ROOT = Path(__file__).parent.parent.parent


def killed_at(first: int, stride: int) -> int:
    """How many processes were killed."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.workflows.dying", str(first), str(stride)],
        cwd=ROOT,
        env={**environment, **where_the_database_is()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return int(done.stdout.split()[-2])


@pytest.mark.thorough_on_servers
def test_at_some_statements() -> None:
    assert killed_at(first=17, stride=67) > 1


@on_request
@pytest.mark.parametrize("first", range(1, 17))
def test_at_every_statement(first: int) -> None:
    assert killed_at(first, stride=16) > 3
