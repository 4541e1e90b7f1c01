"""Celery workers as processes."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
from celery.app.defaults import NAMESPACES

from tests.processes.conftest import ROOT, test_database
from tests.settings import DATABASE
from tests.waiting import wait_for

SETTINGS = "tests.celery_worker.settings"


class CeleryWorker:
    """A real ``celery worker`` on the test's database, with a queue of its own at the broker."""

    def __init__(
        self, broker: str, *arguments: str, pool: str = "threads", size: int = 2, **environment: str
    ) -> None:
        self.broker, self.queue = broker, f"taskworks-{uuid4().hex}"
        self.name = f"{self.queue}@here"
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in end()
        self.environment = {
            "DJANGO_SETTINGS_MODULE": SETTINGS,
            "TASKWORKS_TEST_BROKER": broker,
            "TASKWORKS_TEST_CELERY_QUEUE": self.queue,
            # No process may be forked from one that uses SQLite.
            "TASKWORKS_TEST_START_METHOD": "spawn" if DATABASE == "sqlite" else "fork",
            **environment,
        }
        if pool == "prefork" and self.environment["TASKWORKS_TEST_START_METHOD"] == "spawn":
            _need_spawning()
        command = ["-A", "tests.celery_worker.app", "worker", "-P", pool, "-c", str(size)]
        options = ["--without-gossip", "--without-mingle", "-l", "INFO", "-n", self.name]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "celery", *command, *options, *arguments],
            cwd=ROOT,
            env={**os.environ, **test_database(), **self.environment},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @property
    def log(self) -> str:
        """What it has printed until now."""
        return Path(f"/proc/self/fd/{self._log.fileno()}").read_text()

    def wait_for_log(self, text: str) -> "CeleryWorker":
        try:
            wait_for(
                lambda: text in self.log or self.process.poll() is not None,
                f"it says {text!r}",
                timeout=200,
            )
        finally:
            assert text in self.log, self.log
        return self

    def wait_until_up(self) -> "CeleryWorker":
        """Until it claims runs, whether or not there is a broker."""
        return self.wait_for_log("; it takes runs from")

    def wait_until_connected(self) -> "CeleryWorker":
        return self.wait_for_log(" ready.")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = 200) -> int:
        """Its exit code."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it has not ended within {timeout} s:\n{self.log}") from None

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._log.close()


def _need_spawning() -> None:
    if "pool_start_method" not in NAMESPACES["worker"]:
        pytest.skip("this version of Celery cannot spawn its children")


StartCelery = Callable[..., CeleryWorker]


def children_of(worker: CeleryWorker) -> list[int]:
    pid = worker.process.pid
    return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
