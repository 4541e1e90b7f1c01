"""Stopping politely: first drain, then ask tasks to stop, then release."""

import math
import threading
import time
from enum import IntEnum

from taskworks.conf import conf

RELEASE_AFTER = 2.0  # seconds between asking tasks to stop and releasing their runs


class Stage(IntEnum):
    """How far a worker has come in shutting down."""

    WORKING = 0
    DRAINING = 1  # claims nothing more; running tasks may end
    ASKING = 2  # tasks that still run are asked to stop
    RELEASING = 3  # runs that are left are released


class Shutdown:
    """
    Asked once, a worker drains for ``TASKWORKS["SHUTDOWN_TIMEOUT"]`` seconds, then asks its tasks
    to stop, and then releases; asked again, it releases at once. ``ask`` may be called from a
    signal handler. ``renew`` does the same, for a worker that is to restart then.
    """

    def __init__(self) -> None:
        self.renewing = False
        self._asked = 0
        self._deadline = math.inf
        self.over = threading.Event()

    def ask(self) -> None:
        self._asked += 1
        self.renewing = False
        if self._asked == 1:
            self._set_deadline()

    def renew(self) -> None:
        if not self._asked and not self.renewing:
            self.renewing = True
            self._set_deadline()

    @property
    def seconds_left(self) -> float:
        """Seconds until the next stage; infinite while nobody has asked."""
        left = self._deadline - time.monotonic()
        return max(0.0, left if left > 0 else left + RELEASE_AFTER)

    @property
    def stage(self) -> Stage:
        if self._deadline == math.inf:
            return Stage.WORKING
        late = time.monotonic() - self._deadline
        if self._asked > 1 or late > RELEASE_AFTER:
            return Stage.RELEASING
        return Stage.ASKING if late > 0 else Stage.DRAINING

    def _set_deadline(self) -> None:
        self._deadline = min(self._deadline, time.monotonic() + conf().shutdown_timeout)
