"""
All tests of the Celery engine, with each pool and each broker, for more than two hours:
`make celery`, or `python -m tests.celery_worker.acceptance [DATABASE ...]`.

What is missing on this machine is named; with CI=true that is an error.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import product

import pytest

from tests.celery_worker import behavior
from tests.celery_worker.brokers import OWN_BROKERS
from tests.celery_worker.pools import POOLS

OF_THE_ENGINE = ("tests/celery_worker", "tests/tickets", "tests/shards/test_celery.py")


def main(*databases: str) -> int:
    """Run them, and say what became of each part; 1 if one has failed."""
    os.environ["TASKWORKS_TEST_EVERY_CASE"] = "1"
    parts = {"its own tests": partial(_run_its_own, *databases)}
    for pool, broker in product(POOLS, OWN_BROKERS):
        name = f"the tests of behavior, {pool}, {broker}"
        parts[name] = partial(behavior.main, pool, broker, *databases)
    verdicts = {name: _verdict(part) for name, part in parts.items()}
    print("\n=== The Celery engine ===")
    for name, verdict in verdicts.items():
        print(f"{name:<45} {verdict}")
    return int("FAILED" in verdicts.values())


def _run_its_own(*databases: str) -> int:
    # At full length some take longer than a test may take otherwise; they do not wait forever.
    pytest_args = ["-rs", "-o", "timeout=1800"]
    command = [sys.executable, "-m", "tests.on_every_database", *databases, "--", *pytest_args]
    return subprocess.run([*command, *OF_THE_ENGINE], check=False).returncode


def _verdict(part: Callable[[], int]) -> str:
    try:
        return "FAILED" if part() else "passed"
    except pytest.skip.Exception as missing:
        return f"NOT TESTED: {missing}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
