"""Hears that the process is told to stop, before its server waits for the open streams."""

import asyncio
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def call_at_shutdown(callback: Callable[[], None]) -> None:
    """
    Call this in the current event loop when a signal tells the process to stop. The server's own
    handler is called as before.

    It is not heard where Python does not let us: outside the main thread, and where the signal has
    no handler in Python.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        handler = signal.getsignal(number)
        if isinstance(handler, _Handler):
            handler.loop = loop
        elif callable(handler):
            signal.signal(number, _Handler(loop, callback, handler))


class _Handler:
    def __init__(
        self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None], previous: Any
    ) -> None:
        self.loop, self._callback, self._previous = loop, callback, previous

    def __call__(self, number: int, frame: FrameType | None) -> None:
        # In the loop, because the thread may hold any lock now.
        with suppress(RuntimeError):  # the loop has been closed
            self.loop.call_soon_threadsafe(self._callback)
        self._previous(number, frame)
