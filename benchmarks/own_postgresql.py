"""Servers of PostgreSQL that are the benchmark's own, with its default settings."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.client import NotMeasuredError
from benchmarks.processes import DIE_WITH_PARENT
from tests.ports import free_port

USER = "postgres"
START_TIMEOUT = 60.0  # seconds


class OwnPostgreSQL:
    """A server that can be stopped, and that starts again with what it had."""

    def __init__(self, folder: Path) -> None:
        self._data, self._log = folder / "data", folder / "log"
        self.port = str(free_port())
        # PostgreSQL refuses to be root's.
        self._user = {"user": USER, "group": USER, "extra_groups": []} if _is_root() else {}
        if self._user:
            shutil.chown(folder, USER, USER)
        login = ["--auth", "trust", "--username", USER, "--encoding", "UTF8", "--locale", "C.UTF-8"]
        subprocess.run(
            [_program("initdb"), "--pgdata", self._data, *login],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            **self._user,
        )

    def start(self) -> None:
        """Start it; return when it answers."""
        where = ["-D", self._data, "-p", self.port, "-k", "", "-h", "127.0.0.1"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*DIE_WITH_PARENT, _program("postgres"), *where],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self._data,
                **self._user,
            )
        self._await_answer()

    def crash(self) -> None:
        """Have it end at once, with all of its processes."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()

    @property
    def pids(self) -> list[int]:
        """The ids of all of its processes; of none while it is stopped."""
        first = self._process.pid
        if self._process.poll() is not None:
            return []
        children = Path(f"/proc/{first}/task/{first}/children").read_text()
        return [first, *map(int, children.split())]

    def _await_answer(self) -> None:
        import psycopg

        deadline = time.monotonic() + START_TIMEOUT
        login = {"host": "127.0.0.1", "port": self.port, "user": USER, "dbname": "postgres"}
        while True:
            try:
                psycopg.connect(**login).close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise NotMeasuredError(f"{error}\n{self._log.read_text()}") from error
                time.sleep(0.05)


@contextmanager
def own_postgresql() -> Iterator[OwnPostgreSQL]:
    """Yield a server that has started."""
    with tempfile.TemporaryDirectory(prefix="taskworks-server-") as folder:
        server = OwnPostgreSQL(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.crash()


@contextmanager
def in_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Have these variables while this lasts, here and in the processes that are started."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _is_root() -> bool:
    if os.geteuid():
        return False
    try:
        pwd.getpwnam(USER)
    except KeyError:
        raise NotMeasuredError(f"as root it needs the user {USER!r} for a server") from None
    return True


def _program(name: str) -> str:
    newest_first = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    path = os.pathsep.join([os.environ["PATH"], *map(str, newest_first)])
    if found := shutil.which(name, path=path):
        return found
    raise NotMeasuredError(f"{name} is not installed, so no server can be started")
