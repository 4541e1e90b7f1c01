"""Counts the statements that a process sends to its database server, whatever its driver."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

POSTGRESQL_UNSECURED = 80877103, 80877104  # a client asks for TLS or GSSAPI
POSTGRESQL_STATEMENTS = b"QE"  # a simple query, and Execute
MARIADB_STATEMENTS = b"\x03\x17"  # COM_QUERY and COM_STMT_EXECUTE


class Wire:
    """A proxy of a server, which counts the statements in ``statements``."""

    def __init__(self, store: str, host: str, port: int) -> None:
        self.statements = 0
        self._address = host, port
        self._follow = {"postgresql": self._postgresql, "mariadb": self._mariadb}[store]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._address)
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._start(self._follow, client, server)
                self._start(self._copy, server, client)

    @staticmethod
    def _start(work: Callable[..., None], source: socket.socket, target: socket.socket) -> None:
        def until_closed() -> None:
            with suppress(OSError, EOFError), closing(source), closing(target):
                work(source, target)

        threading.Thread(target=until_closed, daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        while content := source.recv(65536):
            target.sendall(content)

    def _postgresql(self, client: socket.socket, server: socket.socket) -> None:
        while True:
            head = _read(client, 8)
            length, code = struct.unpack("!II", head)
            if code not in POSTGRESQL_UNSECURED:
                break
            client.sendall(b"N")
        server.sendall(head + _read(client, length - 8))
        while True:
            kind = _read(client, 1)
            head = _read(client, 4)
            self.statements += kind in POSTGRESQL_STATEMENTS
            server.sendall(kind + head + _read(client, struct.unpack("!I", head)[0] - 4))

    def _mariadb(self, client: socket.socket, server: socket.socket) -> None:
        while True:
            head = _read(client, 4)
            content = _read(client, int.from_bytes(head[:3], "little"))
            is_command = head[3] == 0
            self.statements += is_command and content[:1] in MARIADB_STATEMENTS
            server.sendall(head + content)


@contextmanager
def counted(store: str, host: str, port: int) -> Iterator[Wire]:
    """Yield a wire, and close it after the block."""
    with closing(Wire(store, host, port)) as wire:
        yield wire


def _read(source: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        more = source.recv(size - len(content))
        if not more:
            raise EOFError
        content += more
    return content
