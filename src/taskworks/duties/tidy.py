"""Tidy: delete what runs and schedules leave behind, once nobody can ask for it."""

from datetime import timedelta
from uuid import UUID

from taskworks import real_time as time
from taskworks.failures import grouping
from taskworks.statistics.compaction import forget_statistics
from taskworks.statistics.gauges import forget_gauges
from taskworks.statistics.marks import forget_marks
from taskworks.store import Store

CHUNK = 1000  # rows per statement
KEEP_FIRINGS = timedelta(days=1)  # at least; a firing stays as long as its run
KEEP_FINISHED_SCHEDULES = timedelta(days=7)
TIDY_INTERVAL = timedelta(hours=1).total_seconds()


def tidy(store: Store) -> None:
    """Delete all of it now."""
    tidying = Tidying(store)
    while tidying.step():
        pass


class Tidying:
    """
    Goes through the tables, one chunk per step, and deletes

    - firings whose runs are gone,
    - schedules that were used up long ago and have no firing left, unless they are declared in
      code,
    - unique keys whose runs are gone: pruning deletes those of its runs, but a project that
      deletes runs in another way does not,
    - steps and events whose runs are gone, for the same reason,
    - pauses that have ended by themselves,
    - buckets of limits that are full, and not held,
    - statistics, gauges and marks that are too old,
    - failures whose runs are gone.

    It also groups failures that nobody has grouped when they happened.

    Then it rests for an hour, so that rows that are kept do not cost a look each time.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last_firing: int | None = None
        self._last_key: UUID | None = None
        self._last_run_with_steps: UUID | None = None
        self._last_failure: UUID | None = None
        self._grouping = grouping.Grouping(store, within=None)
        self._duties = (
            self._forget_firings,
            self._forget_finished,
            self._forget_keys,
            self._forget_steps,
            self._forget_pauses,
            self._forget_buckets,
            self._forget_statistics,
            self._forget_gauges,
            self._forget_failures,
            self._group_failures,
        )
        self._turn = 0
        self._again_at = 0.0

    def step(self) -> bool:
        """Do the next chunk, if it is time; return whether there is more to do now."""
        if time.monotonic() < self._again_at:
            return False
        duty, has_more = self._duties[self._turn], False
        try:
            has_more = duty()
        finally:  # one that fails does not keep the others from their turns
            if not has_more:
                self._turn = (self._turn + 1) % len(self._duties)
        if self._turn == 0 and not has_more:
            self._again_at = time.monotonic() + TIDY_INTERVAL
            return False
        return True

    # The duties; each returns whether there is more of it.

    def _forget_firings(self) -> bool:
        last = self._last_firing or 0
        self._last_firing = self._store.forget_firings(last, KEEP_FIRINGS, CHUNK)
        return self._last_firing is not None

    def _forget_finished(self) -> bool:
        return self._store.forget_finished_schedules(KEEP_FINISHED_SCHEDULES, CHUNK) == CHUNK

    def _forget_keys(self) -> bool:
        self._last_key = self._store.forget_keys(self._last_key, CHUNK)
        return self._last_key is not None

    def _forget_steps(self) -> bool:
        last = self._store.forget_steps_of_gone(self._last_run_with_steps, CHUNK)
        self._last_run_with_steps = last
        return last is not None

    def _forget_pauses(self) -> bool:
        self._store.forget_ended_pauses()
        return False

    def _forget_buckets(self) -> bool:
        return self._store.forget_full_buckets(CHUNK) == CHUNK

    def _forget_statistics(self) -> bool:
        forget_marks(self._store)
        return forget_statistics(self._store, CHUNK) == CHUNK

    def _forget_gauges(self) -> bool:
        return forget_gauges(self._store, CHUNK) == CHUNK

    def _forget_failures(self) -> bool:
        self._last_failure = grouping.forget_failures(self._store, self._last_failure, CHUNK)
        return self._last_failure is not None

    def _group_failures(self) -> bool:
        return self._grouping.step()
