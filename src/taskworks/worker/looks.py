"""When a worker looks for ready runs, for each executor by itself."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping

from taskworks.models import TaskRun

SHORTEST_PAUSE = 0.02  # seconds between two looks at empty queues, just after there was work


class Looks:
    """
    At once where there was as much as could be taken; ever later, up to ``interval`` seconds,
    where there was not.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._pause = min(SHORTEST_PAUSE, interval)
        self._next: dict[str, float] = {}

    def due(self, room: Mapping[str, int]) -> dict[str, int]:
        """The room of the executors that have some, and are to be looked for now."""
        now = time.monotonic()
        return {
            executor: free
            for executor, free in room.items()
            if free > 0 and self._next.get(executor, 0.0) <= now
        }

    def plan(self, asked: Mapping[str, int], runs: Iterable[TaskRun]) -> None:
        """Plan the next looks, after one that asked for so much and found these runs."""
        found = Counter(run.executor for run in runs)
        later = time.monotonic() + self._pause
        for executor, wanted in asked.items():
            self._next[executor] = 0.0 if found[executor] >= wanted else later
        self._pause = min(self._pause * 2, self._interval)

    def hurry(self) -> None:
        """There is work: more may come soon."""
        self._pause = min(SHORTEST_PAUSE, self._interval)

    def seconds(self, room: Mapping[str, int]) -> float:
        """Until the next look; infinite where there is no room."""
        looks = [self._next.get(executor, 0.0) for executor, free in room.items() if free > 0]
        return min(looks, default=float("inf")) - time.monotonic()
