"""What one worker of all does every half minute: note how much waits, and how busy workers are."""

import math

from taskworks.database.background import BackgroundThread
from taskworks.statistics import gauges
from taskworks.store import Store
from taskworks.store.shared_duties import GAUGES


class Sampling(BackgroundThread):
    """
    Does so when ``wake`` says that it is time, unless another worker has just done it. Apart from
    the heartbeat, which a slow read must not hold up; in between it has no connection.
    """

    def __init__(self, store: Store) -> None:
        super().__init__("sampling", store.alias, "sampling how much waits")
        self._store = store

    def first_pause(self) -> float:
        return math.inf

    def pause_after_failure(self, seconds: float) -> float:
        return math.inf  # it is still due, or another worker's by now

    def step(self) -> float:
        if self._store.begin_duty(GAUGES):
            gauges.sample(self._store)
        return math.inf
