"""Database servers of a test's own, which it may stop, and starve of room or connections."""

import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from django.core.management import call_command
from django.db import Error as DatabaseError
from django.db import connection, connections

from tests.faults.absent import refuse
from tests.ports import free_port
from tests.settings import DATABASE
from tests.waiting import wait_for


class PrivateServer(ABC):
    """A server with its data in a folder that goes with it."""

    user: str  # of the system, for servers that refuse to be root's
    superuser: str  # of the database
    force: signal.Signals  # that ends it as a crash does

    def __init__(self, *options: str) -> None:
        self.options = options
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="taskworks-server-"))
        self.data = self.folder / "data"
        self._give(self.folder)
        self._process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """Its data."""
        self._run(self._making())

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._as_user([*self._serving(), *self.options]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self._answers, f"the server on port {self.port} answers", 60)

    def stop(self) -> None:
        """As an administrator does, who waits for nobody."""
        self._end(self._polite())

    def crash(self) -> None:
        self._end(self.force)

    def remove(self) -> None:
        if self._process is not None:
            self.crash()
        shutil.rmtree(self.folder, ignore_errors=True)

    @abstractmethod
    def _making(self) -> list[str]: ...

    @abstractmethod
    def _serving(self) -> list[str]: ...

    @abstractmethod
    def _polite(self) -> signal.Signals: ...

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._signal(number)
        self._process.wait(60)
        self._process = None

    @abstractmethod
    def _signal(self, number: signal.Signals) -> None: ...

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text(errors="replace")
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(self._as_user(command), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    def _as_user(self, command: Sequence[str]) -> list[str]:
        return as_user(self.user, command)

    def _give(self, folder: Path) -> None:
        if os.geteuid() == 0:
            shutil.chown(folder, self.user, self.user)


class PrivatePostgreSQL(PrivateServer):
    user = superuser = "postgres"
    force = signal.SIGQUIT  # its "immediate" mode

    def _making(self) -> list[str]:
        words = ["-D", str(self.data), "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8"]
        return [program("initdb"), *words, "--locale", "C.UTF-8"]

    def _serving(self) -> list[str]:
        where = ["-D", str(self.data), "-p", str(self.port), "-k", str(self.folder)]
        return [program("postgres"), *where, "-c", "listen_addresses=127.0.0.1"]

    def _polite(self) -> signal.Signals:
        return signal.SIGINT  # its "fast" mode

    def _signal(self, number: signal.Signals) -> None:
        # setpriv executes it, and so the process is the server itself.
        assert self._process is not None
        self._process.send_signal(number)


class PrivateMariaDB(PrivateServer):
    user = "mysql"
    superuser = "root"
    force = signal.SIGKILL

    def _making(self) -> list[str]:
        return [
            program("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={self.data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--innodb-log-file-size=8M",
        ]

    def _serving(self) -> list[str]:
        return [
            program("mariadbd"),
            "--no-defaults",
            f"--datadir={self.data}",
            f"--socket={self.folder / 'socket'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--innodb-log-file-size=8M",
            "--innodb-buffer-pool-size=64M",
            "--innodb-fast-shutdown=1",
            "--skip-name-resolve=OFF",
        ]

    def _polite(self) -> signal.Signals:
        return signal.SIGTERM

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


KINDS: dict[str, type[PrivateServer]] = {
    "postgresql": PrivatePostgreSQL,
    "mariadb": PrivateMariaDB,
}


@contextmanager
def private_server(*options: str) -> Iterator[PrivateServer]:
    """A server of the kind that is tested, in use by this process as its database."""
    server = KINDS[DATABASE](*options)
    try:
        server.make()
        server.start()
        with _in_use(server):
            yield server
    finally:
        server.remove()


@contextmanager
def _in_use(server: PrivateServer) -> Iterator[None]:
    """The alias "default" leads to it; the settings are shared by all threads."""
    settings = connection.settings_dict
    usual = {key: settings[key] for key in ("HOST", "PORT", "USER", "PASSWORD")}
    name = settings["NAME"]
    connection.close()
    settings.update(HOST="127.0.0.1", PORT=str(server.port), USER=server.superuser, PASSWORD="")
    try:
        _create(name)
        call_command("migrate", verbosity=0, database="default")
        yield
    finally:
        connection.close()
        settings.update(usual)


def _create(name: str) -> None:
    settings = connection.settings_dict
    settings["NAME"] = {"postgresql": "postgres", "mariadb": "mysql"}[DATABASE]
    try:
        wait_for(_can_connect, "the server takes connections", 30)
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {connection.ops.quote_name(name)}")
    finally:
        connection.close()
        settings["NAME"] = name


def _can_connect() -> bool:
    try:
        connection.ensure_connection()
    except DatabaseError:
        time.sleep(0.1)
        return False
    return True


def reconnect() -> None:
    """After an outage; as soon as the server takes connections."""
    connections.close_all()
    wait_for(_can_connect, "the server takes connections again", 60)


def as_user(name: str, command: Sequence[str]) -> list[str]:
    """The command as this user of the system executes it, where that can be chosen."""
    if os.geteuid() != 0:
        return [*command]
    return ["setpriv", "--reuid", name, "--regid", name, "--clear-groups", "--", *command]


def program(name: str) -> str:
    places = ["/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/sbin", "/usr/local/sbin"]
    folders = [folder for place in places for folder in sorted(glob.glob(place), reverse=True)]
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *folders]))
    if found is None:
        refuse(f"{name} is not installed, so none of the test's own can be started.")
    return found
