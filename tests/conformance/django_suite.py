"""Run Django's own tests of tasks: `python -m tests.conformance.django_suite backport`.

`own`       as they are, against `django.tasks`: shows that the way we run them is sound.
`backport`  against `taskworks.framework.backport`, on every Django.

A run fails unless exactly as many tests were run as we know there are, so that a suite that
shrinks cannot pass for one that is green. To add a run, add a function to RUNS.
"""

import argparse
import os
import sys
import tempfile
import unittest
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import django
from django.test.runner import DiscoverRunner
from django.test.utils import iter_test_cases

from .sdist import SdistUnavailableError, fetch, unpack_tests

# The release whose tests speak for the standard, on the Djangos that have none or older ones.
REFERENCE = "6.1.3"
# How many tests each Django has.
TESTS = {(6, 0): 76, (6, 1): 85}

# The exit code which says that nothing was run, since there was nothing to run.
UNAVAILABLE = 69


@dataclass(frozen=True, kw_only=True)
class SuiteRun:
    """One way to run the tests."""

    version: str  # The Django the tests are taken from.
    expected: int  # How many must run, excluded ones already taken off.
    renames: Mapping[str, str] = field(default_factory=dict)  # Dotted names, as unpack_tests().
    excluded: frozenset[str] = frozenset()  # Names of test methods.
    settings: str = "tests.conformance.settings"


def own() -> SuiteRun:
    """Return the run of the installed Django's tests against itself."""
    return SuiteRun(version=django.get_version(), expected=TESTS[django.VERSION[:2]])


def backport() -> SuiteRun:
    """Return the run of the reference's tests against our backport."""
    # Its message is Python's own, which has other words since 3.12.
    excluded = {"test_no_enqueue"} if sys.version_info < (3, 12) else set()
    return SuiteRun(
        version=REFERENCE,
        expected=TESTS[6, 1] - len(excluded),
        renames={"django.tasks": "taskworks.framework.backport"},
        excluded=frozenset(excluded),
    )


RUNS: dict[str, Callable[[], SuiteRun]] = {"own": own, "backport": backport}


class CountingRunner(DiscoverRunner):
    """Django's test runner, which leaves out tests by name and counts those it ran."""

    def __init__(self, *, excluded: frozenset[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.excluded = excluded
        self.tests_run = 0

    def build_suite(self, *args: Any, **kwargs: Any) -> unittest.TestSuite:
        """Return the tests found, without the excluded ones."""
        found = iter_test_cases(super().build_suite(*args, **kwargs))
        return self.test_suite(
            test for test in found if test.id().rpartition(".")[2] not in self.excluded
        )

    def run_suite(self, *args: Any, **kwargs: Any) -> unittest.TestResult:
        """Run the tests; a skipped one does not count."""
        result = super().run_suite(*args, **kwargs)
        self.tests_run = result.testsRun - len(result.skipped)
        return result


def run(suite: SuiteRun) -> bool:
    """Run the tests, and return whether all of them ran and none failed."""
    archive = fetch(suite.version)
    os.environ["DJANGO_SETTINGS_MODULE"] = suite.settings
    django.setup()
    runner = CountingRunner(excluded=suite.excluded, interactive=False)
    with tempfile.TemporaryDirectory() as folder:
        package = unpack_tests(archive, Path(folder), suite.renames)
        failures = runner.run_tests([str(package)])
    if runner.tests_run != suite.expected:
        print(f"{suite.expected} tests expected, {runner.tests_run} run", file=sys.stderr)
    return not failures and runner.tests_run == suite.expected


def main() -> int:
    """Run what the command line names; the exit code tells how it went."""
    parser = argparse.ArgumentParser(description="Run Django's own tests of tasks.")
    parser.add_argument("run", choices=RUNS)
    name = parser.parse_args().run
    if name == "own" and django.VERSION[:2] not in TESTS:
        parser.error(f"the number of tests of Django {django.get_version()} is not known")
    try:
        return 0 if run(RUNS[name]()) else 1
    except SdistUnavailableError as error:
        print(error, file=sys.stderr)
        return UNAVAILABLE


if __name__ == "__main__":
    sys.exit(main())
