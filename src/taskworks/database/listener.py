"""A connection that receives notifications (PostgreSQL), and the event that interrupts its wait."""

import multiprocessing
import threading
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, Self

from django.db.backends.base.base import BaseDatabaseWrapper

from taskworks.database.connections import copy_of
from taskworks.database.payloads import CHANNEL


class PipeEvent:
    """An event like ``threading.Event``, for which one can wait together with sockets."""

    def __init__(self) -> None:
        self._reader, self._writer = multiprocessing.Pipe(duplex=False)
        self._lock = threading.Lock()
        self._is_set = False

    def set(self) -> None:
        with self._lock:
            if not self._is_set:
                self._is_set = True
                self._writer.send_bytes(b"set")

    def clear(self) -> None:
        with self._lock:
            if self._is_set:
                self._is_set = False
                self._reader.recv_bytes()

    def wait(self, timeout: float | None = None) -> bool:
        return self._reader.poll(timeout)

    def fileno(self) -> int:
        """Return the descriptor that can be read while the event is set."""
        return self._reader.fileno()


class Listener:
    """
    A connection of its own, outside of Django's and of any pool, that receives notifications.
    Whatever goes wrong with it raises Django's database errors.
    """

    def __init__(self, like: BaseDatabaseWrapper) -> None:
        self._connection = copy_of(like)
        self._channels: set[str] = set()

    def __enter__(self) -> Self:
        try:
            self._connection.ensure_connection()
            self._connection.set_autocommit(True)
        except BaseException:
            self._connection.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connection.close()

    @property
    def is_pooled(self) -> bool:
        """True if it goes through a pooler, which may give its server session to others."""
        own_pid = self._connection.connection.info.backend_pid
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return bool(cursor.fetchone() != (own_pid,))

    def listen(self, channel: str = CHANNEL) -> None:
        """Receive what is sent on this channel from now on."""
        with self._connection.cursor() as cursor:
            cursor.execute(f"LISTEN {channel}")
        self._channels.add(channel)

    def wait(self, seconds: float, interrupt: PipeEvent) -> list[str]:
        """Return the payloads that have come, after ``seconds`` or the interrupt at the latest."""
        raw = self._connection.connection
        wait([raw.fileno(), interrupt.fileno()], seconds)
        with self._connection.wrap_database_errors:
            return [payload for channel, payload in _arrived(raw) if channel in self._channels]


def _arrived(raw: Any) -> list[tuple[str, str]]:
    """Return the channels and payloads of what the driver has received."""
    if hasattr(raw, "pgconn"):  # psycopg 3
        raw.pgconn.consume_input()
        arrived = iter(raw.pgconn.notifies, None)
        return [
            (notice.relname.decode(), notice.extra.decode(errors="replace")) for notice in arrived
        ]
    raw.poll()  # psycopg2
    arrived, raw.notifies = raw.notifies, []
    return [(notice.channel, notice.payload) for notice in arrived]
