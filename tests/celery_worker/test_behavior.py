"""Some of the tests of behavior, on a Celery worker; `make celery` runs all, on all of them."""

import os
import subprocess
import sys

import pytest

from tests.celery_worker.behavior import BEHAVIOR, on_celery
from tests.databases import PREFIX
from tests.effort import EVERY_CASE
from tests.processes.conftest import ROOT


@pytest.mark.not_every_day
@pytest.mark.skipif(EVERY_CASE, reason="make celery runs all of them")
@pytest.mark.parametrize(("pool", "name"), [("threads", "delivery"), ("solo", "execution")])
def test_runs_behave_alike(pool: str, name: str) -> None:
    own = {"TASKWORKS_TEST_PREFIX": f"{PREFIX}_celery", "TASKWORKS_TEST_PART": "1/1"}
    command = [sys.executable, "-m", "pytest", "--create-db", "-q", "-p", "no:cacheprovider"]
    with on_celery(pool, "redis") as environment:
        ended = subprocess.run(
            [*command, f"{BEHAVIOR}/test_{name}.py"],
            cwd=ROOT,
            env={**os.environ, **environment, **own},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 0, ended.stdout
