"""What one worker of all does every half minute: compact statistics, and group failures."""

import math
from collections.abc import Callable

from taskworks import real_time as time
from taskworks.database.background import BackgroundThread
from taskworks.failures.grouping import Grouping
from taskworks.statistics import compaction
from taskworks.store import Store
from taskworks.store.shared_duties import BOOKKEEPING

REST_FACTOR = 2  # times as long as a chunk took, until the next one


class Bookkeeping(BackgroundThread):
    """
    Does so when ``wake`` says that it is time, unless another worker is at it. An idle worker has
    no connection for it.
    """

    def __init__(self, store: Store) -> None:
        super().__init__("bookkeeping", store.alias, "compacting statistics and grouping failures")
        self._store = store

    def first_pause(self) -> float:
        return math.inf

    def pause_after_failure(self, seconds: float) -> float:
        return math.inf  # it is still due, or another worker's by now

    def step(self) -> float:
        if self._store.begin_duty(BOOKKEEPING):
            try:
                self._go_through(Grouping(self._store).step)
            finally:  # the one does not depend on the other
                self._go_through(lambda: compaction.compact(self._store) == compaction.CHUNK)
        return math.inf

    def _go_through(self, has_more: Callable[[], bool]) -> None:
        """Do one chunk after the other, with rests in between."""
        while not self.is_stopping:
            began = time.monotonic()
            if not has_more():
                return
            self.rest(REST_FACTOR * (time.monotonic() - began))
