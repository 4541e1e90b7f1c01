"""A browser that reads event streams under ASGI, in an event loop of its own."""

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.asgi import get_asgi_application

from tests.waiting import wait_for


class Reading:
    """A request that is answered by a stream: its status, and the events that have come."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.is_over = False
        # Of those whose progress is the time in milliseconds at which it was set.
        self.latencies: list[float] = []
        self.task: Any = None
        self.leave: Callable[[], None]

    def take(self, chunk: bytes) -> None:
        self.body += chunk
        if told := re.search(rb'"progress":(1\d{12})', chunk):
            self.latencies.append(1000 * time.time() - int(told[1]))

    @property
    def events(self) -> list[tuple[str, Any]]:
        """The names and the data of the events so far."""
        found = []
        for block in self.body.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
            if "data" in fields:
                found.append((fields["event"], json.loads(fields["data"])))
        return found

    @property
    def ids(self) -> list[str]:
        lines = self.body.decode().split("\n")
        return [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]

    def wait(self, name: str | None, **data: Any) -> Any:
        """The data of the first event of this name, or of any, that has these."""

        def found() -> Any:
            for event, given in self.events:
                if name in (None, event) and data.items() <= given.items():
                    return given
            return None

        return wait_for(found, f"an event {name} with {data}")

    def wait_for_the_end(self) -> list[tuple[str, Any]]:
        wait_for(lambda: self.is_over, "the end of the stream")
        return self.events


class Browser:
    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._application = get_asgi_application()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self._readings: list[Reading] = []

    def open(self, path: str, **headers: str) -> Reading:
        """Ask for it, as Ann if nobody else is named, and wait for the answer's first piece."""
        reading = Reading()
        reading.task = self._run(self._read(reading, path, {"x-user": "ann", **headers}))
        self._readings.append(reading)
        wait_for(lambda: reading.body or reading.is_over, f"an answer of {path}")
        return reading

    def close(self) -> None:
        for reading in self._readings:
            reading.leave()
        wait_for(lambda: all(each.is_over for each in self._readings), "all streams are closed")
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    async def _read(self, reading: Reading, path: str, headers: dict[str, str]) -> None:
        gone = asyncio.Event()
        reading.leave = lambda: self.loop.call_soon_threadsafe(gone.set)
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if asked:
                await gone.wait()
                return {"type": "http.disconnect"}
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                reading.status = message["status"]
                reading.headers = {
                    name.decode().lower(): value.decode() for name, value in message["headers"]
                }
            else:
                reading.take(message.get("body", b""))

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": path,
            "query_string": b"",
            "headers": [
                (b"host", b"testserver"),
                *((name.encode(), value.encode()) for name, value in headers.items()),
            ],
        }
        try:
            await self._application(scope, receive, send)
        finally:
            reading.is_over = True


@contextmanager
def browsing() -> Iterator[Browser]:
    browser = Browser()
    try:
        yield browser
    finally:
        browser.close()
