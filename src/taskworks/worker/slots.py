"""How many attempts are executed at once, in one way."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

from taskworks.execution import Attempt, Outcome

Done = Callable[[Attempt, Outcome], None]


class Slots(ABC):
    """So many places to execute attempts; ``done`` is called in a thread of their own."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._busy = 0
        self._lock = threading.Lock()

    @property
    def free(self) -> int:
        """How many attempts would start at once."""
        return self.size - self._busy

    @abstractmethod
    def submit(self, attempt: Attempt) -> None:
        """Execute an attempt, as soon as there is a place."""

    @abstractmethod
    def close(self) -> None:
        """End as soon as there is nothing to execute."""

    def occupy(self) -> int:
        """Take a place; say how many are taken."""
        with self._lock:
            self._busy += 1
            return self._busy

    def vacate(self) -> None:
        """Leave a place."""
        with self._lock:
            self._busy -= 1
