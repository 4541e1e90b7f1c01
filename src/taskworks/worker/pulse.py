"""Whether a worker lives, as its own threads know it: for a file, and for a port."""

import math

from taskworks import real_time as time
from taskworks.conf import conf


class Pulse:
    """
    When the worker's loop last turned, and when its heartbeat last reached the database. Read and
    written in any thread.
    """

    def __init__(self) -> None:
        self._turned_at, self._beaten_at = time.monotonic(), -math.inf
        self.is_ending = False  # it claims nothing more

    def turn(self) -> None:
        """Note that the loop turns."""
        self._turned_at = time.monotonic()

    def beat(self) -> None:
        """Note that the database has taken a heartbeat."""
        self._beaten_at = time.monotonic()

    @property
    def turns(self) -> bool:
        """True if the loop is not stuck, whatever the database does."""
        return time.monotonic() - self._turned_at <= conf().worker_timeout

    @property
    def beats(self) -> bool:
        """True if other workers have no reason to give it up."""
        return time.monotonic() - self._beaten_at <= conf().worker_timeout

    @property
    def has_begun(self) -> bool:
        """True once it is registered."""
        return self._beaten_at > -math.inf
