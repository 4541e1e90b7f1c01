"""Take unique keys, and hold back the runs that have them."""

from collections.abc import Callable, Collection
from datetime import timedelta
from functools import partial
from uuid import UUID

from django.db import OperationalError

from taskworks import real_time as time
from taskworks.models import TaskRun, UniqueKey
from taskworks.options.unique import Unique
from taskworks.store.cancelling import WAITING
from taskworks.store.enqueueing import Insert, Once
from taskworks.store.mysql.lock_waits import DEADLOCK, LOCK_WAIT_TIMEOUT, LockWaits, longest_wait
from taskworks.store.new_runs import NewRuns
from taskworks.store.unique_runs import MAX_PATIENCE, Call, Standing, overdue

NOBODY = UUID(int=0)
BUSY_INTERVAL = 0.01  # seconds between two looks at whether a run's row is free


class HeldKeys(LockWaits):
    """Unique keys where a lock outlives what it was taken for."""

    def _enqueued_first(self, new: NewRuns, once: Once, insert: Insert | None) -> bool:
        try:
            return super()._enqueued_first(new, once, insert)
        except OperationalError as error:
            # Sessions that wait for the same key may deadlock if its insert is rolled back. They
            # try again, except in the caller's transaction, which a deadlock ends.
            if error.args[0] != DEADLOCK or self.connection.in_atomic_block:
                raise
            return False

    def enqueue_unique(self, call: Call, insert: Callable[[NewRuns], None]) -> Standing:
        return self._despite_deadlocks(partial(super().enqueue_unique, call, insert))

    def _take_free(self, ids: dict[UUID, UUID]) -> set[UUID]:
        # Look first: an insert that meets a key keeps a shared lock on it, and two sessions with
        # shared locks that both take the key over deadlock.
        known = {*self.keys.filter(key__in=[*ids]).values_list("key", flat=True)}
        free = {key: run for key, run in ids.items() if key not in known}
        rows = [UniqueKey(key=key, run=run) for key, run in free.items()]
        self.keys.bulk_create(rows, ignore_conflicts=True)
        mine = self.keys.filter(key__in=[*free], run__in=[*free.values()])
        return {*mine.values_list("key", flat=True)} if free else set()

    def _hold_back(self, ids: Collection[UUID], unique: Unique) -> set[UUID]:
        # One after another, because InnoDB undoes no locks before the end of the transaction.
        give_up_at = time.monotonic() + MAX_PATIENCE.total_seconds()
        return {run_id for run_id in sorted(ids) if self._is_held_back(run_id, unique, give_up_at)}

    def _is_held_back(self, run_id: UUID, unique: Unique, give_up_at: float) -> bool:
        # Without waiting for a lock, which InnoDB keeps then even if the row no longer matches.
        longest = longest_wait.get() or timedelta.max
        timeout_at = time.monotonic() + longest.total_seconds()
        while not self._locked_not_begun([run_id], skip_locked=True):
            is_patient = self._not_begun([run_id]).exclude(**overdue(unique)).exists()
            if not is_patient or time.monotonic() >= give_up_at:
                return False
            if time.monotonic() >= timeout_at:
                raise OperationalError(LOCK_WAIT_TIMEOUT, f"The run {run_id} is locked.")
            time.sleep(BUSY_INTERVAL)
        return True

    def _locked_not_begun(self, ids: Collection[UUID], *, skip_locked: bool) -> set[UUID]:
        write = self.rows.writer("id")
        waiting = ", ".join(f"'{state.value}'" for state in WAITING)
        # A row that does not match is unlocked again, but not that of a single id, which would be
        # read as a constant.
        statement = f"""
            SELECT id FROM {self._quoted(TaskRun)} FORCE INDEX (PRIMARY)
            WHERE id IN ({", ".join(["%s"] * (len(ids) + 1))})
                AND attempts = 0 AND last_attempted_at IS NULL AND state IN ({waiting})
            ORDER BY id FOR UPDATE {"SKIP LOCKED" if skip_locked else ""}"""  # noqa: S608 - names
        rows = self._fetch(statement, [*map(write, [NOBODY, *sorted(ids)])])
        return {UUID(str(run_id)) for (run_id,) in rows}
