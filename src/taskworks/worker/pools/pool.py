"""A pool: how many attempts are executed at once in one way, and how many wait for that."""

import math
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from taskworks import real_time as time
from taskworks.conf import conf
from taskworks.execution import Attempt, Outcome

AHEAD_WITHIN = 0.03  # seconds within which what is claimed ahead should begin
MAX_AHEAD = 200  # runs claimed ahead by one pool
MEAN_WEIGHT = 0.1  # of the latest attempt in the mean duration
MEDIAN_STEP = 1.05  # times as much, or as little, with each attempt: this approaches the median
BRIEF = 0.0001  # seconds; nothing that waits for another process takes less
MIN_DURATION = 1e-6  # seconds

Done = Callable[[Attempt, Outcome], None]


class Pool(ABC):
    """
    Slots to execute attempts, ``size`` of them. What is submitted beyond that waits, in order, and
    may be withdrawn. Subclasses call ``done``, which they are given, in the thread that executes.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.claim_ahead = ClaimAhead()
        self._max_wait = conf().worker_timeout - conf().heartbeat_interval
        self._waiting: deque[Attempt] = deque()
        self._busy = 0  # slots taken or reserved, and attempts that wait for one
        self._reserved = 0
        self._lock = threading.Lock()

    @property
    def ahead(self) -> int:
        """How many attempts should wait here, so that no slot stays empty."""
        return self.claim_ahead.ahead(self.size)

    @property
    def room(self) -> int:
        """
        How many runs to claim now: to fill empty slots, and the queue of those that wait, but the
        queue only when half of it is gone, so that many runs are claimed at once.
        """
        capacity = self.size + self.ahead
        left = capacity - self._busy
        return max(0, left) if self._busy < self.size or 2 * left >= capacity else 0

    @property
    def empty(self) -> int:
        """How many slots nothing has taken or reserved, or waits for."""
        return max(0, self.size - self._busy)

    @property
    def free(self) -> int:
        """How many of the attempts that have reserved a slot would begin at once."""
        return max(0, self.size - (self._busy - self._reserved))

    def reserve(self, count: int) -> None:
        """Count this many attempts more, or less, as if they waited here."""
        with self._lock:
            self._busy += count
            self._reserved += count

    @property
    def waits_since(self) -> float:
        """Since when the first waits here, by time.monotonic(); infinite if none does."""
        try:
            return self._waiting[0].submitted
        except IndexError:
            return math.inf

    def submit(self, attempts: Sequence[Attempt]) -> None:
        """Execute these attempts as soon as there are slots."""
        now = time.monotonic()
        for attempt in attempts:
            attempt.submitted = now
        with self._lock:
            self._busy += len(attempts)
        self._waiting.extend(attempts)
        self._begin(len(attempts))

    def withdraw(self) -> list[Attempt]:
        """Return what still waits for a slot, and have no more claimed ahead for now."""
        self.claim_ahead.pause()
        withdrawn = []
        while attempt := self._next():
            withdrawn.append(attempt)
        self.vacate(len(withdrawn))
        return withdrawn

    def widen(self) -> None:  # noqa: B027 - most have nothing to do for that
        """See to it that one attempt does not hold up those that wait here."""

    @abstractmethod
    def close(self) -> None:
        """End as soon as there is nothing to execute."""

    def join(self) -> bool:
        """Wait for what was started here, where that ends; return whether nothing is executed."""
        return self._busy <= self._reserved

    @abstractmethod
    def _begin(self, count: int) -> None:
        """Begin to execute; ``count`` attempts more are waiting."""

    def _next(self) -> Attempt | None:
        """Return the first attempt that waits, which nobody else gets; None if none does."""
        try:
            return self._waiting.popleft()
        except IndexError:
            return None

    def _is_stale(self, attempt: Attempt) -> bool:
        """
        Return whether the attempt, which the worker would have withdrawn long ago, has waited here
        for so long that the worker was frozen, and may have been given up. It must not begin.
        """
        return time.monotonic() - attempt.submitted > self._max_wait

    def vacate(self, count: int = 1) -> None:
        """Leave a slot, or ``count`` of them."""
        with self._lock:
            self._busy -= count


class ClaimAhead:
    """
    How far ahead to claim, by how long attempts have taken of late: as many runs as will begin
    within ``AHEAD_WITHIN``. None before the first has ended, and none while attempts are long.
    """

    def __init__(self) -> None:
        self._mean = self._median = math.inf

    @property
    def is_brief(self) -> bool:
        """True if most attempts take so little time that they can hardly wait for anything."""
        return self._median < BRIEF

    def note(self, durations: Iterable[float]) -> None:
        """Note how many seconds attempts have taken."""
        for duration in durations:
            if self._mean == math.inf:
                self._mean = duration
            else:
                self._mean += MEAN_WEIGHT * (duration - self._mean)
            if self._median == math.inf:
                self._median = duration
            else:
                self._median *= MEDIAN_STEP if duration > self._median else 1 / MEDIAN_STEP

    def pause(self) -> None:
        """Claim none ahead until the next attempt has ended: they take longer than expected."""
        self._mean = math.inf

    def ahead(self, slots: int) -> int:
        """Return how many runs to claim beyond those that this many slots can begin at once."""
        return int(min(MAX_AHEAD, slots * self.within(AHEAD_WITHIN)))

    def within(self, seconds: float) -> float:
        """Return how many attempts one slot executes in this time; 0 before the first has ended."""
        return seconds / max(self._mean, MIN_DURATION)
