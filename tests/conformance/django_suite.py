"""Run Django's own tests of tasks: `python -m tests.conformance.django_suite backport`.

`own`       as they are, against `django.tasks`: shows that the way we run them is sound.
`backport`  against `taskworks.framework.backport`, on every Django.
`database`  against our database backend and its worker, on every Django, on the database that
            the environment's TASKWORKS_TEST_DATABASE names; see `.database.cases`.

A run fails unless exactly as many tests passed as we know there are, so that a suite that
shrinks cannot pass for one that is green. To add a run, add a function to RUNS.
"""

import argparse
import os
import sys
import tempfile
import unittest
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import django
from django.test.runner import DiscoverRunner
from django.test.utils import iter_test_cases

from .sdist import PACKAGE, SdistUnavailableError, fetch, unpack_tests

# The release whose tests speak for the standard, on the Djangos that have none or older ones.
REFERENCE = "6.1.3"
# How many tests each Django has.
TESTS = {(6, 0): 76, (6, 1): 85}
# How many of them test a backend that the tests bring themselves.
CUSTOM_BACKEND_TESTS = {(6, 0): 5, (6, 1): 9}
# How many of the others say what cannot be true of our database backend.
OVERRIDDEN = 11

# What the tests are to mean where they say django.tasks.
BACKPORT = {"django.tasks": "taskworks.framework.backport"}
# And where their settings name a backend: the database backend, dressed up as that one.
DATABASE_BACKENDS = {
    "django.tasks.backends.dummy.DummyBackend": "tests.conformance.database.backends.Shim",
    "django.tasks.backends.immediate.ImmediateBackend": "tests.conformance.database.backends.Eager",
}

# The exit code which says that nothing was run, since there was nothing to run.
UNAVAILABLE = 69


@dataclass(frozen=True, kw_only=True)
class SuiteRun:
    """One way to run the tests."""

    version: str  # The Django the tests are taken from.
    unmodified: int  # How many must pass as Django wrote them.
    overridden: int = 0  # How many must pass in our own words.
    renames: Mapping[str, str] = field(default_factory=dict)  # Dotted names, as unpack_tests().
    excluded: frozenset[str] = frozenset()  # Names of test methods.
    cases: str = ""  # A module that subclasses Django's test cases, to run in their place.
    settings: str = "tests.conformance.settings"

    @property
    def total(self) -> int:
        """How many must run."""
        return self.unmodified + self.overridden


def own() -> SuiteRun:
    """Return the run of the installed Django's tests against itself."""
    return SuiteRun(version=django.get_version(), unmodified=TESTS[django.VERSION[:2]])


def backport() -> SuiteRun:
    """Return the run of the reference's tests against our backport."""
    # Its message is Python's own, which has other words since 3.12.
    excluded = {"test_no_enqueue"} if sys.version_info < (3, 12) else set()
    return SuiteRun(
        version=REFERENCE,
        unmodified=TESTS[6, 1] - len(excluded),
        renames=BACKPORT,
        excluded=frozenset(excluded),
    )


def database() -> SuiteRun:
    """Return the run against our database backend of the tests of the standard in use."""
    native = find_spec("django.tasks") is not None
    tests = django.VERSION[:2] if native else (6, 1)
    return SuiteRun(
        version=django.get_version() if native else REFERENCE,
        unmodified=TESTS[tests] - CUSTOM_BACKEND_TESTS[tests] - OVERRIDDEN,
        overridden=OVERRIDDEN,
        renames=DATABASE_BACKENDS if native else {**DATABASE_BACKENDS, **BACKPORT},
        cases="tests.conformance.database.cases",
        settings="tests.conformance.database.settings",
    )


RUNS: dict[str, Callable[[], SuiteRun]] = {
    "own": own,
    "backport": backport,
    "database": database,
}


class PassedResult(unittest.TextTestResult):
    """A result that keeps the tests that passed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.passed: list[unittest.TestCase] = []

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self.passed.append(test)


class CountingRunner(DiscoverRunner):
    """Django's test runner, which leaves out tests by name and counts those that passed."""

    def __init__(self, *, excluded: frozenset[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.excluded = excluded
        self.unmodified = self.overridden = 0

    def get_resultclass(self) -> type[unittest.TextTestResult]:
        """Return the class of the result."""
        return PassedResult

    def build_suite(self, *args: Any, **kwargs: Any) -> unittest.TestSuite:
        """Return the tests found, without the excluded ones."""
        found = iter_test_cases(super().build_suite(*args, **kwargs))
        return self.test_suite(
            test for test in found if test.id().rpartition(".")[2] not in self.excluded
        )

    def run_suite(self, *args: Any, **kwargs: Any) -> unittest.TestResult:
        """Run the tests, and count those that passed by whose they are."""
        result = super().run_suite(*args, **kwargs)
        passed = Counter(is_unmodified(test) for test in result.passed)
        self.unmodified, self.overridden = passed[True], passed[False]
        return result


def is_unmodified(test: unittest.TestCase) -> bool:
    """Return whether Django wrote this test, whichever class inherits it."""
    method = getattr(type(test), test._testMethodName)
    return method.__module__.partition(".")[0] == PACKAGE


def run(suite: SuiteRun) -> bool:
    """Run the tests, and return whether all of them passed, and as many as there are."""
    archive = fetch(suite.version)
    runner = CountingRunner(excluded=suite.excluded, interactive=False)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TASKWORKS_TEST_FILES"] = folder
        os.environ["DJANGO_SETTINGS_MODULE"] = suite.settings
        django.setup()
        package = unpack_tests(archive, Path(folder), suite.renames)
        sys.path.insert(0, folder)
        failures = runner.run_tests([suite.cases or str(package)])
    print(f"passed: {runner.unmodified} unmodified, {runner.overridden} overridden")
    if (runner.unmodified, runner.overridden) == (suite.unmodified, suite.overridden):
        return not failures
    print(f"expected: {suite.unmodified} and {suite.overridden}", file=sys.stderr)
    return False


def main() -> int:
    """Run what the command line names; the exit code tells how it went."""
    parser = argparse.ArgumentParser(description="Run Django's own tests of tasks.")
    parser.add_argument("run", choices=RUNS)
    name = parser.parse_args().run
    of_installed = name == "own" or (name == "database" and django.VERSION >= (6, 0))
    if of_installed and django.VERSION[:2] not in TESTS:
        parser.error(f"the number of tests of Django {django.get_version()} is not known")
    try:
        return 0 if run(RUNS[name]()) else 1
    except SdistUnavailableError as error:
        print(error, file=sys.stderr)
        return UNAVAILABLE


if __name__ == "__main__":
    sys.exit(main())
