"""When a worker looks for ready runs again."""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from taskworks import real_time as time
from taskworks.database.notifications import NOTIFY_INTERVAL
from taskworks.models import TaskRun

MIN_POLL_INTERVAL = 0.02  # seconds between two looks at empty queues, just after there was work
MIN_LOOK_INTERVAL = 0.005  # seconds between two looks, however often the worker is woken
# For ACTIVE_FOR after work, the longest pause between two looks is a share of the time since then.
QUIET_SHARE = 1 / 20
POLL_INTERVAL_AFTER_WORK, QUIET_POLL_INTERVAL = 0.1, 0.15  # seconds: at least, and at most
ACTIVE_FOR = 300.0  # seconds
POLL_INTERVAL_IF_NOTIFIED = 5.0  # seconds between two looks of a worker that is woken for new runs
# Seconds after a notification by which another may have been left out, as one too many.
LOOK_AGAIN_AFTER = NOTIFY_INTERVAL * 1.2


class PollSchedule:
    """
    When to look for runs of each executor: at once where a look has found as many as there was room
    for; otherwise after a pause that grows. It grows to about a tenth of ``interval`` seconds while
    there was work within minutes, and to all of it afterwards.

    While ``is_notified`` returns True, the worker is woken for new runs, and hardly polls. Unless
    ``misses_nothing`` returns True as well, it polls every ``interval`` seconds; and as if it were
    not notified for ACTIVE_FOR after a poll that found runs of which nobody had told.
    """

    def __init__(
        self,
        interval: float,
        is_notified: Callable[[], bool] = lambda: False,
        misses_nothing: Callable[[], bool] = lambda: True,
    ) -> None:
        self._interval = interval
        self._is_notified, self._misses_nothing = is_notified, misses_nothing
        self._is_told = False  # that there is news, since the last look
        self._is_untold = False  # whether the last look was a poll, after a long pause
        self._missed_at = -math.inf
        self._pause, self._worked_at = min(MIN_POLL_INTERVAL, interval), time.monotonic()
        self._next: dict[str, float] = {}
        self._looked_at = 0.0
        self._again_at = self._due_at = math.inf

    def room_due(self, room: Mapping[str, int]) -> dict[str, int]:
        """Return the room of those executors that have some and are to be looked for now."""
        now = time.monotonic()
        looked_for = {
            executor: free
            for executor, free in room.items()
            if free > 0 and self._moment(executor) <= now
        }
        if looked_for:
            self._note_look(now, looked_for)
        return looked_for

    def plan(self, asked: Mapping[str, int], runs: Iterable[TaskRun]) -> None:
        """Plan the next looks, after one that asked for this room and found these runs."""
        found = Counter([run.executor for run in runs])
        if found and self._is_untold:
            self._missed_at = time.monotonic()
            self.hurry()
        later = time.monotonic() + self._pause * random.uniform(0.8, 1)  # noqa: S311 - jitter
        for executor, wanted in asked.items():
            self._next[executor] = 0.0 if found[executor] >= wanted else later
        self._pause = self._longer_pause()

    def hurry(self) -> None:
        """Begin with the shortest pause again: there is work."""
        self._worked_at = time.monotonic()
        self._pause = min(MIN_POLL_INTERVAL, self._interval)

    def wake(self) -> None:
        """Look at once, and again once notifications that were left out would have come."""
        self._next = {executor: min(at, self._at_once) for executor, at in self._next.items()}
        self._again_at = time.monotonic() + LOOK_AGAIN_AFTER
        self._is_told = True
        self.hurry()

    def look_now(self) -> None:
        """Look at once: there may be runs that could not be claimed before."""
        self._again_at = min(self._again_at, self._at_once)

    @property
    def _at_once(self) -> float:
        return max(time.monotonic(), self._looked_at + MIN_LOOK_INTERVAL)

    def look_again_in(self, seconds: float) -> None:
        """Look after ``seconds`` at the latest: the last look may have missed runs."""
        self._again_at = min(self._again_at, time.monotonic() + max(seconds, MIN_LOOK_INTERVAL))

    def expect_due_in(self, seconds: float) -> None:
        """Look after ``seconds`` at the latest: a scheduled run is due then."""
        self._due_at = time.monotonic() + max(seconds, MIN_LOOK_INTERVAL)

    def seconds(self, room: Mapping[str, int]) -> float:
        """Return the seconds until the next look, infinite without room."""
        looks = [self._moment(executor) for executor, free in room.items() if free > 0]
        return min(looks, default=math.inf) - time.monotonic()

    def _moment(self, executor: str) -> float:
        return min(self._next.get(executor, 0.0), self._again_at, self._due_at)

    def _note_look(self, now: float, looked_for: Mapping[str, int]) -> None:
        # Not after a short pause: of what comes just now a wake-up may be on its way.
        is_poll = now - self._looked_at > self._interval / 2 and all(
            self._looked_at < self._next.get(executor, 0.0) for executor in looked_for
        )
        is_expected = self._is_told or min(self._again_at, self._due_at) <= now
        self._is_untold, self._is_told = is_poll and not is_expected, False
        self._looked_at = now
        if min(self._again_at, self._due_at) <= now:
            # Those that have no room now are looked for when they have.
            others = self._next.keys() - looked_for
            self._next |= {executor: min(self._next[executor], now) for executor in others}
        if self._again_at <= now:
            self._again_at = math.inf
        if self._due_at <= now:
            self._due_at = math.inf

    def _longer_pause(self) -> float:
        now = time.monotonic()
        if self._is_notified() and self._pause * 2 > NOTIFY_INTERVAL:
            if self._misses_nothing():
                return max(POLL_INTERVAL_IF_NOTIFIED, self._interval)
            if now - self._missed_at >= ACTIVE_FOR:
                return self._interval
        return min(self._pause * 2, self._longest_pause(quiet=now - self._worked_at))

    def _longest_pause(self, *, quiet: float) -> float:
        """Return the longest pause after ``quiet`` seconds without work."""
        if quiet >= ACTIVE_FOR:
            return self._interval
        share = min(quiet * QUIET_SHARE, QUIET_POLL_INTERVAL)
        return min(max(POLL_INTERVAL_AFTER_WORK, self._interval / 10, share), self._interval)
