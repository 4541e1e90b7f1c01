"""A worker's share in keeping the tables small."""

import random

from django.db import Error as DatabaseError

from taskworks import real_time as time
from taskworks.database.background import BackgroundThread
from taskworks.duties.prune import Sweep
from taskworks.duties.tidy import Tidying
from taskworks.logs import steady_logger
from taskworks.options.retention import Retention
from taskworks.store import Store

SWEEP_INTERVAL = 60.0  # seconds between two sweeps, more or less, so that workers spread out
REST_FACTOR = 4  # times as long as a chunk took, until the next one
TIDY_REST = 0.1  # seconds between two chunks of what runs leave behind
SWEEP_FAILED = "Old runs could not be deleted; the next try, in a minute, takes %s at a time: %s"

logger = steady_logger(__name__)


class Housekeeping(BackgroundThread):
    """
    Deletes what is too old, every minute, in chunks with pauses in between. Every worker does so,
    and none waits for another.
    """

    def __init__(self, store: Store, retention: Retention) -> None:
        super().__init__("housekeeping", store.alias, "deleting old runs and what they leave")
        self._tidying = Tidying(store)
        self._sweep = Sweep(store, retention.rules())

    def first_pause(self) -> float:
        return SWEEP_INTERVAL * random.random()  # noqa: S311 - jitter, no secret

    def pause_after_failure(self, seconds: float) -> float:
        return self._pause()

    def step(self) -> float:
        try:
            self.sweep()
        finally:
            self.tidy()
        return self._pause()

    def sweep(self) -> None:
        """Delete what is too old; after a database error the next sweep goes on."""
        self._sweep.begin()
        try:
            while self._sweep.has_more and not self.is_stopping:
                began = time.monotonic()
                self._sweep.step()
                self.rest(REST_FACTOR * (time.monotonic() - began))
        except DatabaseError as error:
            logger.warning(SWEEP_FAILED, self._sweep.chunk.size, error)

    def tidy(self) -> None:
        """Delete what runs and schedules leave behind."""
        while not self.is_stopping and self._tidying.step():
            self.rest(TIDY_REST)

    @staticmethod
    def _pause() -> float:
        return SWEEP_INTERVAL * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, no secret
