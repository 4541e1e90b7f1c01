"""A worker's share in firing schedules: every worker does so, and none waits for another."""

import math
import random
from collections.abc import Callable

from taskworks import real_time as time
from taskworks.database.background import BackgroundThread
from taskworks.database.notifications import NOTIFY_INTERVAL
from taskworks.database.outage import GrowingPause
from taskworks.schedules.firing import fire_some
from taskworks.store import Store

POLL_INTERVAL = 1.0  # seconds between two looks while nothing is due, for schedules just edited
POLL_INTERVAL_IF_NOTIFIED = 5.0  # the same, while the worker is notified of edited schedules
SPREAD = 0.02  # seconds over which workers spread that wait for the same moment

# Seconds after a notification by which another may have been left out, as one too many.
LOOK_AGAIN_WITHIN = NOTIFY_INTERVAL * 1.2


class Scheduler(BackgroundThread):
    """
    Waits for the next planned time, and fires. It has a connection only while a schedule is
    enabled; the heartbeat sees whether one is, and calls ``begin``.

    ``is_notified`` returns whether the worker hears of saved schedules, and calls ``wake`` then.
    """

    def __init__(self, store: Store, is_notified: Callable[[], bool]) -> None:
        super().__init__("scheduler", store.alias, "firing schedules")
        self._store, self._is_notified = store, is_notified
        self._others_fire = GrowingPause(2 * SPREAD, POLL_INTERVAL)
        self._woken_at = -math.inf
        self.is_at_work = False

    def begin(self) -> None:
        """Begin to fire, unless it is at work: a schedule is enabled. Called in any thread."""
        if not self.is_at_work:
            self.wake()

    def wake(self) -> None:
        """Look at the schedules now: one was saved."""
        self._woken_at = time.monotonic()
        super().wake()

    def first_pause(self) -> float:
        return math.inf

    def step(self) -> float:
        """Fire as long as a schedule is enabled; then wait for ``begin``."""
        self.is_at_work = True
        while (pause := self._fire()) < math.inf:
            self.outage.clear()
            if not self.rest(min(pause, self._longest_pause)):
                break
        self.is_at_work = False
        return math.inf

    def _fire(self) -> float:
        """Fire what is due; return the seconds to wait, infinite if nothing is enabled."""
        began = time.monotonic()
        due, seconds = self._store.schedule_agenda()
        if due:
            fired = fire_some(self._store, due)
            if not fired:  # others are about to, or hold the rows for long
                return _spread(self._others_fire.take())
            # Every few seconds the agenda is asked anyway.
            next_one = min(seconds, *fired, POLL_INTERVAL_IF_NOTIFIED)
            seconds = max(0.0, began + next_one - time.monotonic())
        else:
            seconds += _spread(SPREAD)
        self._others_fire.reset()
        return seconds

    @property
    def _longest_pause(self) -> float:
        if time.monotonic() - self._woken_at < LOOK_AGAIN_WITHIN:
            return LOOK_AGAIN_WITHIN
        return POLL_INTERVAL_IF_NOTIFIED if self._is_notified() else POLL_INTERVAL


def _spread(seconds: float) -> float:
    return seconds * random.random()  # noqa: S311 - no secret
