"""How a worker shuts down: it drains, then asks tasks to stop, then releases their runs."""

import math
import threading
from enum import IntEnum

from taskworks import real_time as time
from taskworks.conf import conf

RELEASE_AFTER = 2.0  # seconds between asking tasks to stop and releasing their runs


class Stage(IntEnum):
    """How far a worker has come in shutting down."""

    WORKING = 0
    DRAINING = 1  # it claims nothing more, and running tasks may finish
    ASKING = 2  # the tasks that still run are asked to stop
    RELEASING = 3  # the runs that are left are released


class Shutdown:
    """
    The stages of a shutdown. Asked once, a worker drains for ``TASKWORKS["SHUTDOWN_TIMEOUT"]``
    seconds, then asks its tasks to stop, and then releases their runs; asked again, it releases at
    once. ``restart`` asks once too, for a worker that starts again afterwards. ``request`` is for
    those who ask through the database, again and again: the first signal after it counts as the
    first.
    """

    def __init__(self) -> None:
        self.is_restart = self.is_requested = False
        self._asked = 0
        self._deadline = math.inf
        self.over = threading.Event()  # set once the worker has ended

    def ask(self) -> None:
        """Ask the worker to stop; safe in a signal handler."""
        if not self._asked:
            self._set_deadline()  # first: a signal handler that interrupts this may ask as well
        self._asked += 1
        self.is_restart = False

    def request(self, *, drain: bool) -> bool:
        """
        Have the worker stop; with ``drain``, when its tasks have ended, however long they take.
        Return False if that was requested before.
        """
        before = self.is_requested, self._deadline
        self.is_requested, self.is_restart = True, False
        if not drain:
            self._set_deadline()
        return before != (self.is_requested, self._deadline)

    def restart(self) -> None:
        """Ask the worker to stop and start again, unless it was asked to stop."""
        if not (self._asked or self.is_requested or self.is_restart):
            self.is_restart = True
            self._set_deadline()

    @property
    def seconds_left(self) -> float:
        """Seconds until the next stage; infinite while no shutdown was asked for."""
        left = self._deadline - time.monotonic()
        return max(0.0, left if left > 0 else left + RELEASE_AFTER)

    @property
    def stage(self) -> Stage:
        """The stage now: it changes as time passes."""
        if self._deadline == math.inf:
            return Stage.DRAINING if self.is_requested else Stage.WORKING
        late = time.monotonic() - self._deadline
        if self._asked > 1 or late > RELEASE_AFTER:
            return Stage.RELEASING
        return Stage.ASKING if late > 0 else Stage.DRAINING

    def _set_deadline(self) -> None:
        self._deadline = min(self._deadline, time.monotonic() + conf().shutdown_timeout)
