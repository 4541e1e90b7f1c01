"""A worker's share in compacting statistics."""

import math

from taskworks import real_time as time
from taskworks.database.background import BackgroundThread
from taskworks.statistics.compaction import CHUNK, compact
from taskworks.store import Store
from taskworks.store.shared_duties import STATISTICS

REST_FACTOR = 2  # times as long as a chunk took, until the next one


class Compacting(BackgroundThread):
    """
    Adds up what workers have written, when ``wake`` says that it is time. Of all workers one does
    so; an idle worker has no connection for it.
    """

    def __init__(self, store: Store) -> None:
        super().__init__("statistics", store.alias, "compacting statistics")
        self._store = store

    def first_pause(self) -> float:
        return math.inf

    def pause_after_failure(self, seconds: float) -> float:
        return math.inf  # it is still due, or another worker's by now

    def step(self) -> float:
        if self._store.begin_duty(STATISTICS):
            self._compact()
        return math.inf

    def _compact(self) -> None:
        while not self.is_stopping:
            began = time.monotonic()
            if compact(self._store) < CHUNK:
                return
            self.rest(REST_FACTOR * (time.monotonic() - began))
