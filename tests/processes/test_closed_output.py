"""A worker that was started with its output closed, as by a shell's ``>&-``, works all the same."""

import os
import shlex
import subprocess
import sys

import pytest

from taskworks.models import TaskRun
from tests import tasks
from tests.processes import conftest

pytestmark = pytest.mark.django_db(transaction=True)


# On a server they would show what the first two show: that a connection does not become the output.
ONCE = [pytest.mark.not_every_day, pytest.mark.any_database]


@pytest.mark.parametrize(
    ("closed", "processes"),
    [
        ("<&- >&- 2>&-", "1"),
        ("<&- >&- 2>&-", "2"),
        pytest.param(">&-", "1", marks=ONCE),
        pytest.param(">&-", "2", marks=ONCE),
        pytest.param("2>&-", "1", marks=ONCE),
        pytest.param("2>&-", "2", marks=ONCE),
    ],
)
def test_a_worker_executes_what_is_ready(closed: str, processes: str) -> None:
    printing = tasks.print_line.enqueue("of a thread")
    in_child = tasks.print_line.using(executor="process").enqueue("of a child process")
    command = [sys.executable, "manage.py", "taskworks", "worker", "--batch"]
    ended = subprocess.run(
        ["/bin/sh", "-c", f"exec {shlex.join([*command, '--processes', processes])} {closed}"],
        cwd=conftest.ROOT,
        env={**os.environ, **conftest.test_database()},
        timeout=240,
        check=False,
    )
    states = {str(run.id): run.state for run in TaskRun.objects.all()}
    assert states == {printing.id: "successful", in_child.id: "successful"}
    assert ended.returncode == 0
