"""What a process has read last, so that it reads no more often than it has to, and never fails."""

import threading
import time as wall_clock
from collections.abc import Callable
from typing import NamedTuple

from django.db import Error as DatabaseError

from taskworks import real_time as time
from taskworks.database.outage import Outage
from taskworks.database.time_limit import TookTooLong
from taskworks.logs import steady_logger
from taskworks.prometheus.facts import Facts

KEPT_FOR = 5.0  # seconds
PATIENCE = 5.0  # seconds to wait for another thread that is reading

logger = steady_logger(__name__)


class Reading(NamedTuple):
    """What was read, and whether that has just succeeded."""

    facts: Facts | None = None  # None if it has never succeeded
    read_at: float = 0.0  # Unix time, by this process's clock
    is_ok: bool = False
    seconds: float = 0.0  # that the latest try took


class Latest:
    """
    Reads with ``read``, in one thread at a time, and keeps what it was for KEPT_FOR seconds. If
    reading fails, what was read before stands, and the next try comes as late.
    """

    def __init__(self, read: Callable[[], Facts]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._latest = Reading()
        self._until = float("-inf")
        self._outage = Outage("reading metrics")

    def get(self) -> Reading:
        """Return what was read last, or now. Does not raise."""
        if not self._lock.acquire(timeout=PATIENCE):
            return self._latest._replace(is_ok=False)  # another thread waits for the database
        try:
            if time.monotonic() >= self._until:
                self._latest = self._read_again()
                self._until = time.monotonic() + KEPT_FOR
            return self._latest
        finally:
            self._lock.release()

    def _read_again(self) -> Reading:
        began = time.monotonic()
        try:
            facts = self._read()
        except (DatabaseError, TookTooLong) as error:
            self._outage.note_error(error)
        except Exception:  # a driver, a pool, or a row that somebody else has written
            logger.exception("The metrics cannot be read.")
        else:
            self._outage.clear()
            return Reading(facts, wall_clock.time(), True, time.monotonic() - began)
        return self._latest._replace(is_ok=False, seconds=time.monotonic() - began)
