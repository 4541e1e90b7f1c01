"""Worker processes that a test kills, freezes, and reads the output of."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from django.db import connection

from tests.alive import is_alive
from tests.faults.ledger import VARIABLE, Ledger
from tests.freezing import freeze
from tests.settings import DATABASE
from tests.waiting import wait_for

ROOT = Path(__file__).parent.parent.parent
PREFIXES = {"postgresql": "PG", "mariadb": "MARIADB_", "mysql": "MYSQL_"}


class FaultyProcess:
    """A process of the project; what happens to it is the test's business."""

    def __init__(
        self, label: str, log: Path, ledger: Ledger, command: Sequence[str], environment: dict
    ) -> None:
        self.label, self.log = label, log
        self.is_expendable = False  # killed by the test, or told to stop
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
                    VARIABLE: str(ledger.path),
                    **where_the_database_is(),
                    **environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.began = time.monotonic()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for_line(self, part: str, timeout: float = 30) -> None:
        wait_for(lambda: part in self.output, f"{self.label} prints {part!r}", timeout)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """``kill -9``, and wait for its end."""
        self.is_expendable = True
        self.send(signal.SIGKILL)
        self.process.wait()

    def freeze(self) -> None:
        freeze(self.pid)

    def wake(self) -> None:
        self.send(signal.SIGCONT)

    def ask_to_stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.is_expendable = True
        self.send(number)

    def wait(self, timeout: float = 60) -> int:
        """Its exit code."""
        return self.process.wait(timeout)

    def children(self) -> list[int]:
        """The processes that it has started, and that live."""
        text = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        mine = [int(pid) for pid in text.read_text().split()] if text.exists() else []
        return [pid for pid in mine if is_alive(pid)]

    def memory(self) -> int:
        """Resident, in bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def end(self) -> None:
        """Whatever state it is in."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGCONT)
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()


class FaultyWorker(FaultyProcess):
    """A real ``manage.py taskworks worker``."""

    def __init__(
        self, label: str, log: Path, ledger: Ledger, arguments: Sequence[str], environment: dict
    ) -> None:
        command = ["manage.py", "taskworks", "worker", "--interval", "0.05", "--worker-id", label]
        super().__init__(label, log, ledger, [*command, *arguments], environment)

    def wait_until_up(self) -> "FaultyWorker":
        wait_for(
            lambda: f"Worker {self.label}" in self.output or not self.is_running,
            f"{self.label} is up",
            60,
        )
        assert self.is_running, self.output
        return self


def where_the_database_is() -> dict[str, str]:
    """The environment in which tests.settings names the database that the test has."""
    if DATABASE == "sqlite":
        return {"TASKWORKS_TEST_FILES": str(Path(connection.settings_dict["NAME"]).parent)}
    prefix = PREFIXES[DATABASE]
    keys = {"HOST": "HOST", "PORT": "PORT", "USER": "USER", "PASSWORD": "PASSWORD"}
    names = {f"{prefix}{key}": str(connection.settings_dict[key]) for key in keys}
    return {**names, f"{prefix}DATABASE": str(connection.settings_dict["NAME"])}


def through_port(port: int, host: str = "127.0.0.1") -> dict[str, str]:
    """The environment in which the database's server is somewhere else."""
    prefix = PREFIXES[DATABASE]
    return {f"{prefix}HOST": host, f"{prefix}PORT": str(port)}
