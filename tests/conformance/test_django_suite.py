"""Django's own tests of tasks, each run in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import django
import pytest

from .django_suite import RUNS, UNAVAILABLE

ROOT = Path(__file__).resolve().parents[2]

# The other runs use no database: they are not repeated on each.
ON_SQLITE = os.environ.get("TASKWORKS_TEST_DATABASE", "sqlite") == "sqlite"
NAMES = list(RUNS) if ON_SQLITE else ["database"]


def run_suite(name: str) -> subprocess.CompletedProcess[str]:
    """Return the finished process of the named run; skip the test if there was nothing to run."""
    command = [sys.executable, "-m", "tests.conformance.django_suite", name]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if process.returncode == UNAVAILABLE and os.environ.get("CI") != "true":
        pytest.skip(f"DJANGO'S TESTS WERE NOT RUN. {process.stderr}")
    return process


@pytest.mark.timeout(600)  # The first run downloads Django.
@pytest.mark.parametrize("name", NAMES)
def test_django_suite(name: str) -> None:
    if name == "own" and django.VERSION < (6, 0):
        pytest.skip(f"Django {django.get_version()} has no django.tasks")
    process = run_suite(name)
    assert process.returncode == 0, process.stdout + process.stderr
    expected = RUNS[name]()
    assert f"Ran {expected.total} tests in" in process.stderr
    passed = f"passed: {expected.unmodified} unmodified, {expected.overridden} overridden"
    assert passed in process.stdout
