"""A caller that is killed by ``kill -9`` while it enqueues leaves no key behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from taskworks.models import TaskRun, UniqueKey
from tests.connections import begin_elsewhere, wait_until_blocked
from tests.faults.workers import where_the_database_is
from tests.store.dying import POINTS
from tests.unique import enqueue_unique, holder, unfinished

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("point", POINTS)
def test_whoever_waits_for_it_is_the_first(point: str) -> None:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.store.dying", point],
        cwd=ROOT,
        env={**environment, **where_the_database_is()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as caller:
        try:
            assert caller.stdout
            assert caller.stdout.readline() == "here\n"
            second = begin_elsewhere(lambda: enqueue_unique("a"))
            wait_until_blocked()
        finally:
            caller.kill()
    assert second.result(timeout=60).is_new
    assert unfinished() == [second.result().id] == [holder("a")]
    assert TaskRun.objects.count() == UniqueKey.objects.count() == 1
