"""The brokers: a Redis server of the tests' own, and a RabbitMQ that is there."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

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
