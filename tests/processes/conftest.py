import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from taskworks.models import Worker
from taskworks.store import store
from tests.freezing import freeze
from tests.settings import DATABASE

ROOT = Path(__file__).parent.parent.parent
WATCHFUL = {"DJANGO_SETTINGS_MODULE": "tests.processes.watchful"}
NAME_VARIABLE = {
    "postgresql": "PGDATABASE",
    "mariadb": "MARIADB_DATABASE",
    "mysql": "MYSQL_DATABASE",
}


@pytest.fixture(autouse=True)
def _database(transactional_db: None) -> None:
    """Other processes see what a test has committed."""


class WorkerProcess:
    """A real ``manage.py taskworks worker`` on the test's database."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.reloads = "--reload" in arguments
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "taskworks", "worker", "--interval", "0.05", *arguments],
            cwd=ROOT,
            env={**os.environ, **test_database(), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def wait_until_up(self) -> "WorkerProcess":
        """Until it says that it works."""
        return self.wait_for_line("Worker ")

    def wait_for_line(self, beginning: str) -> "WorkerProcess":
        """Until it prints such a line."""
        lines = []
        while line := self.process.stdout.readline():
            lines.append(line)
            if line.startswith(beginning):
                return self
        raise AssertionError(f"no line began with {beginning!r}:\n{''.join(lines)}")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def freeze(self) -> None:
        freeze(self.process.pid)

    def wait(self, timeout: float = 60) -> int:
        """Its exit code."""
        return self.process.wait(timeout)

    def output(self) -> str:
        """What it has printed since; waits for its end."""
        return self.process.communicate(timeout=60)[0]

    def end(self) -> None:
        """Kill it; one that reloads is asked first, for it has a child."""
        if self.reloads and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


def give_up(label: str) -> None:
    """As others do with a worker that is silent."""
    silent = Worker.objects.living().filter(label=label)
    assert silent.update(given_up_at=store().read_clock()) == 1


def test_database() -> dict[str, str]:
    """The environment in which tests.settings names this test's own database."""
    name = str(connection.settings_dict["NAME"])
    return {NAME_VARIABLE[DATABASE]: name} if DATABASE in NAME_VARIABLE else {}


@pytest.fixture
def start_worker() -> Iterator[Callable[..., WorkerProcess]]:
    workers: list[WorkerProcess] = []

    def start_worker(*arguments: str, **environment: Any) -> WorkerProcess:
        workers.append(WorkerProcess(*arguments, **environment))
        return workers[-1]

    yield start_worker
    for worker in workers:
        worker.end()
