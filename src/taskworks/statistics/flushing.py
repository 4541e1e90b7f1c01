"""Writes what a worker has collected, every ten seconds, in one INSERT."""

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from uuid import UUID, uuid4

from django.db import Error as DatabaseError

from taskworks import real_time as time
from taskworks.database.outage import Outage
from taskworks.logs import steady_logger
from taskworks.models import Statistic
from taskworks.models.statistic import EVER, OF_SERIES, TEN_SECONDS
from taskworks.statistics.collector import Collector
from taskworks.statistics.places import MAX_SERIES, Place, total_of, with_wider
from taskworks.statistics.tally import Tally
from taskworks.store import Store

FLUSH_INTERVAL = 10.0  # seconds
# Seconds for which an INSERT is repeated whose answer was lost. Its rows may be there, and are
# compacted after COMPACTED_AFTER seconds; to repeat it then would count them twice.
REPEATED_FOR = 60.0
LONGEST_WAIT = timedelta(seconds=1)  # for a lock of another session; the next flush tries again
MAX_KNOWN = 4000  # totals; those that it forgets it looks for again

logger = steady_logger(__name__)


class Flushing:
    """
    Inserts rows under the id of their worker, so that no two workers write the same one. A flush
    that fails is repeated with the next one; it may have succeeded, so its rows keep their ids.

    A killed worker loses what it has collected since the latest flush. ``interval`` is the time
    between two calls of ``flush_if_due``.
    """

    def __init__(
        self, store: Store, collector: Collector, worker: Callable[[], UUID], interval: float
    ) -> None:
        self._store, self._collector, self._worker = store, collector, worker
        self._outage = Outage("writing statistics")
        self._known: set[Place] = set()  # totals that are there
        self._failed: list[tuple[float, list[Statistic]]] = []  # with when they were tried first
        self._pause = FLUSH_INTERVAL - interval / 2
        self._flushed_at = time.monotonic()

    def flush_if_due(self) -> None:
        """Write what was collected, if the latest flush was ten seconds ago. Does not raise."""
        if time.monotonic() - self._flushed_at >= self._pause:
            self.flush()

    def flush(self) -> None:
        """Write what was collected; a database error is logged. Nothing is written of nothing."""
        self._flushed_at = time.monotonic()
        self._forget_stale()
        if collected := self._collected():
            self._failed.append((self._flushed_at, collected))
        rows = [row for _, batch in self._failed for row in batch]
        if not rows:
            return
        try:
            places = {
                total_of(row.backend, row.queue_name, row.task_path)
                for row in rows
                if row.level == OF_SERIES
            }
            # In the thread of the heartbeats: a lock of the table must not silence the worker.
            with self._store.locking(LONGEST_WAIT):
                insert(self._store, [*rows, *new_totals(self._store, places - self._known)])
        except DatabaseError as error:
            self._outage.note_error(error)
        else:
            self._known = places | (self._known if len(self._known) < MAX_KNOWN else set())
            self._failed.clear()
            self._outage.clear()

    def _collected(self) -> list[Statistic]:
        worker, taken = self._worker(), self._collector.take()
        tallies = {Place(TEN_SECONDS, *series): tally for series, tally in taken.items()}
        return [
            tally.row(uuid4(), worker=worker, **place._asdict())
            for place, tally in with_wider(tallies).items()
        ]

    def _forget_stale(self) -> None:
        oldest = time.monotonic() - REPEATED_FOR
        fresh = [(tried_at, batch) for tried_at, batch in self._failed if tried_at > oldest]
        if len(fresh) < len(self._failed):
            logger.warning("Statistics that could not be written for a minute were dropped.")
            self._failed = fresh


def new_totals(store: Store, places: Collection[Place]) -> list[Statistic]:
    """
    Return the rows of those of these totals that are missing, with nothing in them yet: a series is
    shown from when it has a total. If there are too many, it is counted among the others.
    """
    if not places:
        return []
    totals = Statistic.objects.using(store.alias).filter(seconds=EVER)
    stored = {*totals.filter(id__in=[place.id for place in places]).values_list("id", flat=True)}
    missing = [place for place in places if place.id not in stored]
    room = max(0, MAX_SERIES[EVER] - totals.count())
    made = {*missing[:room], *(place.of_others for place in missing[room:])}
    return [Tally().row(place.id, **place._asdict()) for place in made]


def insert(store: Store, rows: Sequence[Statistic]) -> None:
    """Insert rows, except for those that are there already."""
    ordered = sorted(rows, key=lambda row: row.id)  # so that two never wait for each other
    Statistic.objects.using(store.alias).bulk_create(ordered, ignore_conflicts=True)
