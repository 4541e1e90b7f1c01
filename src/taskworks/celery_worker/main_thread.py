"""Calls that other threads have Celery's main thread make."""

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from taskworks.logs import steady_logger

logger = steady_logger(__name__)


class MainThread:
    """
    The main thread of a Celery worker, which makes the calls between two turns of its event loop.
    It makes none while Celery has no connection to its broker.
    """

    def __init__(self, celery_worker: Any) -> None:
        self._celery_worker = celery_worker
        self._calls: deque[Callable[[], Any]] = deque()
        self._reader, self._writer = os.pipe()
        for end in (self._reader, self._writer):
            os.set_blocking(end, False)

    @property
    def is_connected(self) -> bool:
        """True while Celery has a connection to its broker, as far as it knows."""
        connection = getattr(self._celery_worker.consumer, "connection", None)
        return bool(connection and connection.connected)

    def listen(self, hub: Any) -> None:
        """Have the event loop listen. It forgets that with each connection to the broker."""
        hub.add_reader(self._reader, self.make_calls)

    def call_soon(self, call: Callable[[], Any]) -> None:
        """Have it make this call. May be called in any thread."""
        if self._celery_worker.hub is None:  # its broker is asked for messages, in turns of seconds
            self._celery_worker.consumer.call_soon(call)
            return
        self._calls.append(call)
        with suppress(BlockingIOError):  # it is full, so it will be read
            os.write(self._writer, b"\0")

    def make_calls(self) -> None:
        """
        Make the calls that wait, in the main thread. What one raises is logged. Those that they add
        come with the next turn, after what the event loop has to do beside them.
        """
        with suppress(BlockingIOError):
            os.read(self._reader, 4096)
        for _ in range(len(self._calls)):
            self._make(self._calls.popleft())

    def _make(self, call: Callable[[], Any]) -> None:
        try:
            call()
        except Exception:
            logger.exception("Unexpected error in a call between two turns of Celery's loop.")
