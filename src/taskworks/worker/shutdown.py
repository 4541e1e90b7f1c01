"""Stopping politely: first drain, then release."""

import math
import threading
import time
from enum import IntEnum

from taskworks.conf import conf


class Stage(IntEnum):
    """How far a worker is on its way out."""

    WORKING = 0
    DRAINING = 1  # no more claims; what runs may end
    RELEASING = 2  # what runs is given back


class Shutdown:
    """
    Asked once, a worker drains for ``TASKWORKS["SHUTDOWN_TIMEOUT"]`` seconds; asked again, or
    when these are over, it releases. ``ask`` may be called from a signal handler.
    """

    def __init__(self) -> None:
        self._asked = 0
        self._deadline = 0.0
        self.over = threading.Event()

    def ask(self) -> None:
        self._asked += 1
        if self._asked == 1:
            self._deadline = time.monotonic() + conf().shutdown_timeout

    @property
    def seconds_left(self) -> float:
        """Until it releases; infinite while nobody has asked."""
        return max(0.0, self._deadline - time.monotonic()) if self._asked else math.inf

    @property
    def stage(self) -> Stage:
        if self._asked == 0:
            return Stage.WORKING
        if self._asked == 1 and time.monotonic() < self._deadline:
            return Stage.DRAINING
        return Stage.RELEASING
