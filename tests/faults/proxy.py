"""A small TCP proxy between workers and a server, whose traffic a test rules."""

import asyncio
import ipaddress
import os
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.faults.absent import refuse

RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: what is closed so is reset


class Proxy:
    """
    Passes what it is given, after ``delay`` seconds. In a ``black_hole`` it takes what it is given
    and passes nothing; ``unplugged`` it does not even acknowledge it, as a network does that is
    cut: for that it has an address of its own, which needs Linux and root.
    """

    def __init__(self, host: str, port: int) -> None:
        self.server = (host, port)
        self.delay = 0.0
        self.address = _own_address() if os.geteuid() == 0 else "127.0.0.1"
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "Proxy":
        self._thread.start()
        self._listening = self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def port(self) -> int:
        return int(self._listening.sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        """That are open."""
        return len(self._writers) // 2

    # What a test does with it.

    @contextmanager
    def black_hole(self) -> Iterator[None]:
        self._loop.call_soon_threadsafe(self._open.clear)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._open.set)

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        if os.geteuid() != 0 or not shutil.which("ip"):
            refuse("A route can be taken away by root only, and with the command ip.")
        _route("add", self.address)
        try:
            yield
        finally:
            _route("del", self.address)

    def cut(self) -> None:
        """End every connection, politely."""
        self._do(self._end(reset=False))

    def reset(self) -> None:
        """End every connection as a host does that has forgotten it."""
        self._do(self._end(reset=True))

    # In the thread of the loop.

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _listen(self) -> asyncio.Server:
        self._open = asyncio.Event()
        self._open.set()
        return await asyncio.start_server(self._serve, self.address, 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        await self._open.wait()  # in a black hole nobody is reached
        try:
            to_read, to_write = await asyncio.open_connection(*self.server)
        except OSError:
            self._writers.discard(writer)
            writer.close()
            return
        self._writers.add(to_write)
        await asyncio.gather(self._pump(reader, to_write), self._pump(to_read, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await asyncio.sleep(self.delay)
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()

    async def _end(self, *, reset: bool) -> None:
        for writer in [*self._writers]:
            if reset:
                found = writer.get_extra_info("socket")
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort() if reset else writer.close()
        self._writers.clear()

    async def _close(self) -> None:
        self._listening.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def _own_address() -> str:
    """A loopback address that no other test uses at this time."""
    return str(ipaddress.IPv4Address("127.77.0.0") + os.getpid() % 60_000 + 1)


def _route(verb: str, address: str) -> None:
    subprocess.run(["ip", "route", verb, "blackhole", address, "table", "local"], check=True)
