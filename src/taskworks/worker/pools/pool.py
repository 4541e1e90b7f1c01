"""How many attempts are executed at once, in one way, and how many wait for that here."""

import math
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence

from taskworks.execution import Attempt, Outcome
from taskworks.worker.pools.claim_ahead import ClaimAhead

Done = Callable[[Attempt, Outcome], None]


class Pool(ABC):
    """
    So many places to execute attempts; ``done`` is called in a thread of their own. What is
    submitted beyond that waits, in order, and may be withdrawn.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.claim_ahead = ClaimAhead()
        self._waiting: deque[Attempt] = deque()
        self._busy = 0  # places taken or reserved, and attempts that wait for one
        self._reserved = 0
        self._lock = threading.Lock()

    @property
    def ahead(self) -> int:
        """How many attempts should wait here, so that places do not stay empty."""
        return self.claim_ahead.ahead(self.size)

    @property
    def room(self) -> int:
        """
        How many runs to claim now: to fill empty places, and what waits, but that only when half
        of it is gone, so that runs are claimed many at once.
        """
        capacity = self.size + self.ahead
        left = capacity - self._busy
        return max(0, left) if self._busy < self.size or 2 * left >= capacity else 0

    @property
    def free(self) -> int:
        """How many of those that have reserved a place would begin at once."""
        return max(0, self.size - (self._busy - self._reserved))

    def reserve(self, count: int) -> None:
        """Count so many attempts as if they waited here, or so many less."""
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
        """Execute these attempts, as soon as there are places."""
        now = time.monotonic()
        for attempt in attempts:
            attempt.submitted = now
        with self._lock:
            self._busy += len(attempts)
        self._waiting.extend(attempts)
        self._begin(len(attempts))

    def withdraw(self) -> list[Attempt]:
        """Take back what still waits for a place, and have no more claimed ahead for now."""
        self.claim_ahead.slacken()
        withdrawn = []
        while attempt := self._next():
            withdrawn.append(attempt)
        self.vacate(len(withdrawn))
        return withdrawn

    def widen(self) -> None:  # noqa: B027 - most have nothing to do for that
        """See to it that what waits here is not held up by one attempt."""

    @abstractmethod
    def close(self) -> None:
        """End as soon as there is nothing to execute."""

    @abstractmethod
    def _begin(self, count: int) -> None:
        """So many attempts more are waiting."""

    def _next(self) -> Attempt | None:
        """The first that waits, for whoever asks first; None if none does."""
        try:
            return self._waiting.popleft()
        except IndexError:
            return None

    def vacate(self, count: int = 1) -> None:
        """Leave a place, or so many."""
        with self._lock:
            self._busy -= count
