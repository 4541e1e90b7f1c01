"""The brokers: a Redis server and a RabbitMQ of the tests' own, and a RabbitMQ that is there."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from kombu import Connection

from tests.ports import free_port
from tests.waiting import wait_for

RABBITMQ = os.environ.get("TASKWORKS_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672//")


class OwnRedis:
    """A Redis server, which a test may stop and start again."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._socket = folder, folder / "redis.sock"
        self.url = f"redis+socket://{self._socket}"

    def start(self) -> None:
        program = shutil.which("redis-server")
        assert program
        self._process = subprocess.Popen(
            [program, "--port", "0", "--unixsocket", str(self._socket), "--dir", self._folder],
            stdout=subprocess.DEVNULL,
        )
        wait_for(self._listens, "Redis listens")

    def stop(self) -> None:
        """Nothing that it had is there when it starts again."""
        self._process.kill()
        self._process.wait()
        for left in (self._socket, self._folder / "dump.rdb"):
            left.unlink(missing_ok=True)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
            client.connect(str(self._socket))
            return True
        return False


@contextmanager
def own_redis() -> Iterator[OwnRedis]:
    if not shutil.which("redis-server"):
        _is_missing("redis-server is not on the PATH")
    with tempfile.TemporaryDirectory() as folder:  # whose path is short enough for a socket
        server = OwnRedis(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


class OwnRabbitMQ:
    """A RabbitMQ node, which a test may stop and start again."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self._name = f"taskworks-{self._port}@localhost"
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}//"
        (folder / "plugins").write_text("[].")

    def start(self) -> None:
        program = _rabbitmq_server()
        assert program
        self._process = subprocess.Popen(
            [program],
            env={**os.environ, **self._environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_for(self._works, "RabbitMQ works", timeout=200)

    def stop(self) -> None:
        """Nothing that it had is there when it starts again."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        shutil.rmtree(self._folder / "mnesia", ignore_errors=True)

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "HOME": str(self._folder),  # where Erlang has its cookie
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_PID_FILE": str(self._folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "none"),
            "RABBITMQ_CONF_ENV_FILE": str(self._folder / "none"),
        }

    def _works(self) -> bool:
        """Whether it has a queue made, which it does a while after it listens."""
        once = {"max_retries": 0}
        with suppress(Exception), Connection(self.url, transport_options=once) as connection:
            connection.channel().queue_declare(exclusive=True, auto_delete=True)
            return True
        return False


@contextmanager
def own_rabbitmq() -> Iterator[OwnRabbitMQ]:
    if not _rabbitmq_server():
        _is_missing("rabbitmq-server is not installed")
    with tempfile.TemporaryDirectory() as folder:
        node = OwnRabbitMQ(Path(folder))
        node.start()
        try:
            yield node
        finally:
            node.stop()


def _rabbitmq_server() -> str | None:
    """The program itself: what Debian has on the PATH is for the server of the machine."""
    return shutil.which("/usr/lib/rabbitmq/bin/rabbitmq-server") or shutil.which("rabbitmq-server")


OWN_BROKERS = {"redis": own_redis, "rabbitmq": own_rabbitmq}


def rabbitmq() -> str:
    """The address of the RabbitMQ server; each worker of the tests has queues of its own there."""
    where = urlsplit(RABBITMQ)
    try:
        socket.create_connection((where.hostname, where.port or 5672), 5).close()
    except OSError:
        _is_missing(f"there is no RabbitMQ at {RABBITMQ}; TASKWORKS_TEST_RABBITMQ names another")
    return RABBITMQ


def _is_missing(what: str) -> None:
    assert not os.environ.get("CI"), what
    pytest.skip(what)
