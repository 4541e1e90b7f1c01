"""A Redis server of a test's own, which it may stop, freeze and start again."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port
from tests.waiting import wait_for


class RedisServer:
    """On a port of its own. ``options`` are those of redis-server."""

    def __init__(self, program: str, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.socket = folder / "redis.sock"
        self._command = [
            program, *("--port", str(self.port)), *("--unixsocket", str(self.socket)),
            *("--save", ""), *("--dir", str(folder)), *options,
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self, **options: Any) -> Any:
        from redis import Redis

        return Redis(unix_socket_path=str(self.socket), **options)

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        wait_for(self._answers, "Redis answers")

    def stop(self) -> None:
        if self._process:
            self.thaw()
            self._process.kill()
            self._process.wait()
            self._process = None

    def restore(self) -> None:
        """Have it run, whatever a test has done to it."""
        self.thaw()
        if self._process is None:
            self.start()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process:
            self._process.send_signal(number)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(100).startswith((b"+PONG", b"-NOAUTH"))
        except ConnectionError:
            return False


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """One that runs within this block."""
    program = shutil.which("redis-server")
    if program is None:
        assert not os.environ.get("CI"), "redis-server is not on the PATH"
        pytest.skip("redis-server is not on the PATH")
    with tempfile.TemporaryDirectory() as folder:  # a socket's path may not be long
        server = RedisServer(program, Path(folder), *options)
        try:
            server.start()
            yield server
        finally:
            server.stop()
