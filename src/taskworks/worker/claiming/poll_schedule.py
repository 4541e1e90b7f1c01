"""When a worker looks for ready runs, for each executor by itself."""

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from taskworks.database.notifications import NOTIFY_INTERVAL
from taskworks.models import TaskRun

SHORTEST_PAUSE = 0.02  # seconds between two looks at empty queues, just after there was work
SHORTEST_GAP = 0.005  # seconds between two looks, however often the worker is told to
LOOK_ANYWAY = 5.0  # seconds between two looks of a worker that is told of new runs
AGAIN_AFTER = (
    NOTIFY_INTERVAL * 1.2
)  # seconds after it was told, by when others may have told no more


class PollSchedule:
    """
    At once where there was as much as could be taken; ever later, up to ``interval`` seconds,
    where there was not. While ``is_told`` says that the worker hears of new runs, it hardly looks
    by itself.
    """

    def __init__(self, interval: float, is_told: Callable[[], bool] = lambda: False) -> None:
        self._interval, self._is_told = interval, is_told
        self._pause = min(SHORTEST_PAUSE, interval)
        self._next: dict[str, float] = {}
        self._looked_at = 0.0
        self._again_at = self._due_at = math.inf

    def due(self, room: Mapping[str, int]) -> dict[str, int]:
        """The room of the executors that have some, and are to be looked for now."""
        now = time.monotonic()
        looked_for = {
            executor: free
            for executor, free in room.items()
            if free > 0 and self._moment(executor) <= now
        }
        if looked_for:
            self._note_look(now)
        return looked_for

    def plan(self, asked: Mapping[str, int], runs: Iterable[TaskRun]) -> None:
        """Plan the next looks, after one that asked for so much and found these runs."""
        found = Counter(run.executor for run in runs)
        later = time.monotonic() + self._pause * random.uniform(0.8, 1)  # noqa: S311 - jitter
        for executor, wanted in asked.items():
            self._next[executor] = 0.0 if found[executor] >= wanted else later
        self._pause = self._longer_pause()

    def hurry(self) -> None:
        """There is work: more may come soon."""
        self._pause = min(SHORTEST_PAUSE, self._interval)

    def wake(self) -> None:
        """The worker was told of new runs: look at once, and again for those told of no more."""
        now = time.monotonic()
        at_once = max(now, self._looked_at + SHORTEST_GAP)
        self._next = {executor: min(at, at_once) for executor, at in self._next.items()}
        self._again_at = now + AGAIN_AFTER
        self.hurry()

    def look_again(self, seconds: float) -> None:
        """Not all was looked at; it will be in so many seconds."""
        self._again_at = min(self._again_at, time.monotonic() + max(seconds, SHORTEST_GAP))

    def expect(self, seconds: float) -> None:
        """A scheduled run will be due in so many seconds."""
        self._due_at = time.monotonic() + max(seconds, SHORTEST_GAP)

    def seconds(self, room: Mapping[str, int]) -> float:
        """Until the next look; infinite where there is no room."""
        looks = [self._moment(executor) for executor, free in room.items() if free > 0]
        return min(looks, default=math.inf) - time.monotonic()

    def _moment(self, executor: str) -> float:
        return min(self._next.get(executor, 0.0), self._again_at, self._due_at)

    def _note_look(self, now: float) -> None:
        self._looked_at = now
        if self._again_at <= now:
            self._again_at = math.inf
        if self._due_at <= now:
            self._due_at = math.inf

    def _longer_pause(self) -> float:
        if self._is_told() and self._pause * 2 > NOTIFY_INTERVAL:
            return max(LOOK_ANYWAY, self._interval)
        return min(self._pause * 2, self._interval)
