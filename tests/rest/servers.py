"""Real servers for the API, in threads of the test, and clients that are mere sockets."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import uvicorn
from django.core.asgi import get_asgi_application
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application

from tests.waiting import wait_for

BUFFER_SIZE = 4096  # bytes, so that a client that does not read is soon noticed
RESET = struct.pack("ii", 1, 0)


class Client(socket.socket):
    """Sends a request, and reads no more of the answer than it is asked to."""

    @property
    def status(self) -> int:
        """The status of the answer; -1 if the server has closed the connection without one."""
        line = self.recv(12)
        return int(line.split()[1]) if line else -1

    def read_until(self, text: bytes) -> None:
        """Read as far as this, or a little further."""
        read = b""
        while text not in read:
            some = self.recv(100)
            assert some, f"the end has come before {text!r}: {read!r}"
            read += some

    def read_to_the_end(self) -> bytes:
        return b"".join(iter(lambda: self.recv(65536), b""))

    def reset(self) -> None:
        """Leave without a farewell."""
        self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.close()


class Served:
    def __init__(self, port: int) -> None:
        self.port = port
        self._clients = ExitStack()

    def ask(self, path: str, *, source: str = "127.0.0.1", **headers: str) -> Client:
        """A client that has asked for this path, from this address of the machine's own."""
        return self.send("GET", path, source=source, **headers)

    def send(
        self, method: str, path: str, body: str = "", *, source: str = "127.0.0.1", **headers: str
    ) -> Client:
        client = self._clients.enter_context(Client(socket.AF_INET, socket.SOCK_STREAM))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_SIZE)
        client.settimeout(60)
        client.bind((source, 0))
        client.connect(("127.0.0.1", self.port))
        lines = [f"{method} {path} HTTP/1.1", "Host: testserver", "Connection: close"]
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        client.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode() + body.encode())
        return client

    def hang_up(self) -> None:
        self._clients.close()


@contextmanager
def under_uvicorn(application: Any = None) -> Iterator[Served]:
    """By default Django's own application."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_SIZE)
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            application or get_asgi_application(), log_level="critical", lifespan="off"
        )
        server = uvicorn.Server(config)
        yield from _serving(
            listening.getsockname()[1],
            lambda: server.run(sockets=[listening]),
            lambda: setattr(server, "should_exit", True),
            is_up=lambda: server.started,
        )


@contextmanager
def under_wsgi() -> Iterator[Served]:
    """Django's own, which has a thread for each request."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), _Silent)
    server.daemon_threads = True
    server.set_app(get_wsgi_application())
    yield from _serving(server.server_port, server.serve_forever, server.shutdown)
    server.server_close()


def _serving(port: int, run: Any, stop: Any, is_up: Any = lambda: True) -> Iterator[Served]:
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_for(is_up, "the server is up")
    served = Served(port)
    try:
        yield served
    finally:
        served.hang_up()
        stop()
        thread.join()


class _Silent(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None: ...
