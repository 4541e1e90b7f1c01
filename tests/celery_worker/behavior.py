"""
The tests of behavior on a CeleryBackend, whose runs a Celery worker executes with a real broker:
`python -m tests.celery_worker.behavior POOL BROKER [DATABASE ...] [-- PYTEST ...]`.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from tests.celery_worker.brokers import OWN_BROKERS

BEHAVIOR = "tests/behavior"


def main(pool: str, broker: str, *arguments: str) -> int:
    """Run them; the exit code is that of `tests.on_every_database`."""
    split = arguments.index("--") if "--" in arguments else len(arguments)
    databases, pytest_args = arguments[:split], arguments[split + 1 :]
    if not any(argument.startswith(BEHAVIOR) for argument in pytest_args):
        pytest_args += (BEHAVIOR,)
    command = [sys.executable, "-m", "tests.on_every_database", *databases, "--", *pytest_args]
    with on_celery(pool, broker) as environment:
        return subprocess.run(command, env={**os.environ, **environment}, check=False).returncode


@contextmanager
def on_celery(pool: str, broker: str) -> Iterator[dict[str, str]]:
    """The environment in which these tests have a broker of their own, and such Celery workers."""
    with OWN_BROKERS[broker]() as server:
        yield {
            "TASKWORKS_TEST_CELERY_POOL": pool,
            "TASKWORKS_TEST_BROKER": server.url,
            "TASKWORKS_TEST_CELERY_QUEUE": f"taskworks-{uuid4().hex}",
        }


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except pytest.skip.Exception as missing:
        print(f"NOT TESTED: {missing}", flush=True)
