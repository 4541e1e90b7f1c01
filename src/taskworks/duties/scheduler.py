"""A worker's share in firing schedules: every worker does so, and none waits for another."""

import math
import random
import threading
import time
from collections.abc import Callable

from django.db import Error as DatabaseError

from taskworks.database.connections import reserved_connection
from taskworks.database.notifications import NOTIFY_INTERVAL
from taskworks.database.outage import Outage
from taskworks.execution.task_connections import tidy_connections
from taskworks.logs import steady_logger
from taskworks.schedules.firing import fire_some
from taskworks.store import Store

LOOK_EVERY = 1.0  # seconds between two looks at schedules that are not due, for those just edited
LOOK_WHEN_TOLD = 5.0  # the same, while the worker hears of what is edited
SPREAD = 0.02  # seconds within which workers that wait for the same moment come one by one
LONGEST_STOP = 2.0  # seconds to wait for a firing under way

logger = steady_logger(__name__)


class Scheduler(threading.Thread):
    """
    Waits for the next planned time, and fires; on a connection of its own, which it has only while
    a schedule is enabled. Somebody else sees whether one is, and says ``begin``: the heartbeat.
    """

    def __init__(self, store: Store, is_told: Callable[[], bool]) -> None:
        super().__init__(name="taskworks-scheduler", daemon=True)
        self._store, self._is_told = store, is_told
        self._outage = Outage("Schedules cannot be fired", "Schedules are fired again.")
        self._news = threading.Event()
        self._patience = SPREAD
        self._is_stopped = self._is_at_work = False

    def begin(self) -> None:
        """A schedule is enabled: nothing new, if it is at work."""
        if not self._is_at_work:
            self.wake()

    def wake(self) -> None:
        """A schedule was saved; in any thread."""
        self._news.set()

    def stop(self) -> None:
        """Fire no more; waits a little for a firing under way."""
        self._is_stopped = True
        self._news.set()
        if self.is_alive():
            self.join(LONGEST_STOP)

    def run(self) -> None:
        while not self._is_stopped:
            self._news.wait()
            self._is_at_work = True
            with reserved_connection(self._store.alias):
                self._work()
            self._is_at_work = False

    def _work(self) -> None:
        """As long as a schedule is enabled."""
        while not self._is_stopped:
            was_told = self._news.is_set()
            self._news.clear()
            pause = self._step()
            if pause == math.inf:
                return
            # Others may have been saved within the window, and told nobody.
            self._news.wait(min(pause, NOTIFY_INTERVAL * 1.2) if was_told else pause)

    def _step(self) -> float:
        """Fire what is due; the seconds to wait, infinite if nothing is enabled."""
        try:
            seconds = self._fire()
        except DatabaseError as error:
            tidy_connections()
            return self._outage.note_error(error)
        except Exception as error:
            logger.exception("Schedules could not be fired.")
            return self._outage.note_error(error)
        self._outage.clear()
        longest = LOOK_WHEN_TOLD if self._is_told() else LOOK_EVERY
        return seconds if seconds == math.inf else min(seconds, longest)

    def _fire(self) -> float:
        """As above."""
        began = time.monotonic()
        patience, self._patience = self._patience, SPREAD
        due, seconds = self._store.schedule_agenda()
        if not due:
            return seconds + _spread(SPREAD)
        again = fire_some(self._store, due)
        if not again:  # others are about to, or hold them for long
            self._patience = min(2 * patience, LOOK_EVERY)
            return _spread(self._patience)
        # Every few seconds the agenda is asked anyway.
        next_one = min(seconds, *again, LOOK_WHEN_TOLD)
        return max(0.0, began + next_one - time.monotonic())


def _spread(seconds: float) -> float:
    return seconds * random.random()  # noqa: S311 - no secret
