"""A way to a broker that can refuse, swallow everything, and say nothing."""

import socket
import threading
from contextlib import suppress

from tests.ports import free_port

CHUNK = 65536


class Proxy:
    """Lets everything through until it is told otherwise."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._passes = threading.Event()
        self._passes.set()
        self._is_silent = False
        self._sockets: list[socket.socket] = []
        self._door: socket.socket | None = None
        self.port = free_port()
        self.open()

    def open(self) -> None:
        """Let everything through, to new connections as well."""
        self._is_silent = False
        self._passes.set()
        if self._door is None:
            self._door = socket.create_server(("127.0.0.1", self.port))
            threading.Thread(target=self._let_in, args=[self._door], daemon=True).start()

    def freeze(self) -> None:
        """Refuse nothing, and let nothing through."""
        self._passes.clear()

    def fall_silent(self) -> None:
        """End the connections that there are, accept new ones, and never answer them."""
        self._is_silent = True
        self._hang_up()

    def refuse(self) -> None:
        """End the connections that there are, and refuse new ones."""
        door, self._door = self._door, None
        if door is not None:
            with suppress(OSError):
                door.shutdown(socket.SHUT_RDWR)
            door.close()
        self._hang_up()

    def end(self) -> None:
        self._passes.set()
        self.refuse()

    def _hang_up(self) -> None:
        ends, self._sockets = self._sockets, []
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _let_in(self, door: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = door.accept()
                self._sockets.append(near)
                if not self._is_silent:
                    self._connect(near)

    def _connect(self, near: socket.socket) -> None:
        far = socket.create_connection(self._target)
        self._sockets.append(far)
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._carry, args=[source, sink], daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                self._passes.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)
