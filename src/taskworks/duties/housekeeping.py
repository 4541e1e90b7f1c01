"""A worker's share in keeping the record small: it deletes what is too old, a little at a time."""

import random
import threading
import time

from django.db import Error as DatabaseError

from taskworks.database.connections import reserved_connection
from taskworks.duties.prune import Sweep
from taskworks.duties.tidy import Tidying
from taskworks.logs import steady_logger
from taskworks.options.retention import Retention
from taskworks.store import Store

SWEEP_EVERY = 60.0  # seconds between two sweeps, more or less, so that workers do not go in step
REST = 4  # times as long as a chunk took, until the next one
LONGEST_STOP = 2.0  # seconds to wait for a chunk under way
WENT_WRONG = "Old runs could not be deleted; the next try, in a minute, takes %s at a time: %s"

logger = steady_logger(__name__)


class Housekeeping(threading.Thread):
    """
    Every minute, delete what is too old, a chunk at a time with rests between. Every worker does
    so, on a connection of its own which it opens for that, and none waits for another.
    """

    def __init__(self, store: Store, retention: Retention) -> None:
        super().__init__(name="taskworks-housekeeping", daemon=True)
        self._alias = store.alias
        self._tidying = Tidying(store)
        self._sweep = Sweep(store, retention.rules())
        self._stopped = threading.Event()

    def run(self) -> None:
        pause = SWEEP_EVERY * random.random()  # noqa: S311 - jitter, no secret
        while not self._stopped.wait(pause):
            with reserved_connection(self._alias):
                self.sweep()
                self._tidy()
            pause = SWEEP_EVERY * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, no secret

    def _tidy(self) -> None:
        try:
            while not self._stopped.is_set() and self._tidying.step():
                self._stopped.wait(0.1)
        except DatabaseError as error:
            logger.warning("What runs and schedules leave behind could not be deleted: %s", error)
        except Exception:
            logger.exception("What runs and schedules leave behind could not be deleted.")

    def stop(self) -> None:
        """No more chunks; waits a little for one under way."""
        self._stopped.set()
        if self.is_alive():
            self.join(LONGEST_STOP)

    def sweep(self) -> None:
        """Delete what is too old; after an error the next sweep goes on."""
        self._sweep.begin()
        try:
            while self._sweep.has_more and not self._stopped.is_set():
                began = time.monotonic()
                self._sweep.step()
                self._stopped.wait(REST * (time.monotonic() - began))
        except DatabaseError as error:
            logger.warning(WENT_WRONG, self._sweep.chunk.size, error)
        except Exception:
            logger.exception("Old runs could not be deleted.")
