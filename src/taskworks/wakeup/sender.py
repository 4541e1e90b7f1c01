"""Wakes workers through Redis, from a thread, so that nobody waits for Redis or fails with it."""

import atexit
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from taskworks import real_time as time
from taskworks.conf import conf
from taskworks.database.importing import import_what_connecting_takes, no_fork
from taskworks.database.outage import Outage
from taskworks.logs import steady_logger
from taskworks.wakeup.address import client_of, without_secrets
from taskworks.wakeup.channel import channel_of

MAX_WAITING = 1000  # wake-ups that wait to be sent; further ones are dropped
SHORTEST_REST, LONGEST_REST = 1.0, 30.0  # seconds without a try, after one has failed
LAST_SECONDS = 1.0  # that a process that ends gives to what it has just said

WakeUp = tuple[str, str]  # the alias of a database, and a payload

logger = steady_logger(__name__)


def wake(alias: str, payload: str) -> None:
    """Wake the workers of this database, soon, if Redis answers. Return at once; never fail."""
    with suppress(RuntimeError):  # no thread can be started: the process is ending
        (_living() or _begin()).put((alias, payload))


def flush() -> None:
    """Wait up to a second until everything is sent, because the process ends."""
    if living := _living():
        living.flush(LAST_SECONDS)


class Sender(threading.Thread):
    """Sends wake-ups. While Redis does not answer it drops them, and tries ever more rarely."""

    def __init__(self) -> None:
        super().__init__(name="taskworks-wakeup", daemon=True)
        self._waiting: SimpleQueue[WakeUp | threading.Event] = SimpleQueue()
        self._outage = Outage("waking workers", "Redis", SHORTEST_REST, LONGEST_REST)
        self._rests_until = 0.0
        self._address, self._client = "", None

    # Called in any thread.

    def put(self, wake_up: WakeUp) -> None:
        """Send it soon, unless Redis has just failed to answer, or too many are waiting."""
        if time.monotonic() >= self._rests_until and self._waiting.qsize() < MAX_WAITING:
            self._waiting.put(wake_up)

    def flush(self, seconds: float) -> None:
        """Wait until everything put has been sent or dropped, ``seconds`` at most."""
        done = threading.Event()
        self._waiting.put(done)
        done.wait(seconds)

    # Called in this thread.

    def run(self) -> None:
        while True:
            batch = self._next_batch()
            wake_ups = dict.fromkeys(one for one in batch if isinstance(one, tuple))
            try:
                self._send(wake_ups)
            except Exception as error:  # noqa: BLE001 - of Redis, the network, or the setting
                self._rest(error)
            for done in batch:
                if isinstance(done, threading.Event):
                    done.set()

    def _next_batch(self) -> list[WakeUp | threading.Event]:
        batch = [self._waiting.get()]
        with suppress(Empty):
            while len(batch) < MAX_WAITING:
                batch.append(self._waiting.get_nowait())
        return batch

    def _send(self, wake_ups: Iterable[WakeUp]) -> None:
        messages = [(channel_of(alias), payload) for alias, payload in wake_ups]
        if not messages or not conf().wakeup or time.monotonic() < self._rests_until:
            return
        pipeline = self._connected().pipeline(transaction=False)
        for channel, payload in messages:
            pipeline.publish(channel, payload)
        pipeline.execute()
        self._outage.clear()

    def _connected(self) -> Any:
        """Return the client for the address that is set now."""
        if self._client is None or self._address != conf().wakeup:
            self._disconnect()
            self._address = conf().wakeup
            with no_fork():
                self._client = client_of(self._address)
                import_what_connecting_takes()
        return self._client

    def _rest(self, error: Exception) -> None:
        self._disconnect()
        reason = without_secrets(str(error), self._address)
        self._rests_until = time.monotonic() + self._outage.note_error(reason)

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):  # it is given up in any case
                client.close()


_sender: Sender | None = None
_lock = threading.Lock()


def _living() -> "Sender | None":
    """Return the sender; None if it has not begun, or has died."""
    sender = _sender
    return sender if sender is not None and sender.is_alive() else None


def _begin() -> Sender:
    global _sender  # noqa: PLW0603 - one a process
    with _lock:
        if living := _living():
            return living
        sender = Sender()
        sender.start()
        _sender = sender
        return sender


def _begin_anew() -> None:
    # In a child process, which has inherited everything but the thread.
    global _sender, _lock
    _sender, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_begin_anew)
atexit.register(flush)
