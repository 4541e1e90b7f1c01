"""What one worker of all does every half minute: compact statistics, and group failures."""

from collections.abc import Callable

from taskworks import real_time as time
from taskworks.duties.shared_duty import SharedDuty
from taskworks.failures.grouping import Grouping
from taskworks.statistics import compaction
from taskworks.store import Store
from taskworks.store.shared_duties import BOOKKEEPING

REST_FACTOR = 2  # times as long as a chunk took, until the next one


class Bookkeeping(SharedDuty):
    """Does so in chunks, with rests in between."""

    duty = BOOKKEEPING

    def __init__(self, store: Store) -> None:
        super().__init__("bookkeeping", store, "compacting statistics and grouping failures")

    def fulfil(self) -> None:
        try:
            self._go_through(Grouping(self._store).step)
        finally:  # the one does not depend on the other
            self._go_through(lambda: compaction.compact(self._store) == compaction.CHUNK)

    def _go_through(self, has_more: Callable[[], bool]) -> None:
        while not self.is_stopping:
            began = time.monotonic()
            if not has_more():
                return
            self.rest(REST_FACTOR * (time.monotonic() - began))
