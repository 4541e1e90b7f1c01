"""For which executors it is the turn of runs with a limit, and for which that of the others."""

import math
from collections import Counter
from collections.abc import Iterable

from taskworks import real_time as time
from taskworks.models import TaskRun
from taskworks.worker.pools.pool import AHEAD_WITHIN


class Alternation:
    """
    For which executors runs with a limit are claimed first, and for which the others. What is
    claimed ahead takes the slots that become free, so both kinds take turns: the others once, ahead
    too; then those with a limit, as slots become free, until they have had as many runs, or as much
    time as what is claimed ahead should take. In its turn, each leaves to the other what it does
    not take.
    """

    def __init__(self) -> None:
        self._left: dict[str, int] = {}  # runs with a limit until their turn is as long
        self._ends_at: dict[str, float] = {}  # the turn of those with a limit

    def limited_first(self, executors: Iterable[str]) -> frozenset[str]:
        """Return those of these executors for which it is the turn of runs with a limit."""
        now = time.monotonic()
        return frozenset(name for name in executors if now < self._ends_at.get(name, -math.inf))

    def note_others(self, executors: Iterable[str], claimed: Iterable[TaskRun]) -> None:
        """Note that the others had their turn."""
        found = Counter([run.executor for run in claimed])
        for name in executors:
            self._left[name], self._ends_at[name] = found[name], math.inf

    def note_limited(self, executors: Iterable[str], claimed: Iterable[TaskRun]) -> None:
        """Note that those with a limit were claimed, in their turn."""
        found = Counter([run.executor for run in claimed])
        ends_at = time.monotonic() + AHEAD_WITHIN
        for name in executors:
            self._left[name] = self._left.get(name, 0) - found[name]
            is_over = self._left[name] <= 0
            self._ends_at[name] = -math.inf if is_over else min(self._ends_at[name], ends_at)
