"""Take over runs that have waited in another package's queue."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from taskworks import jsonvalue
from taskworks.database.clock import later
from taskworks.database.transactions import writing
from taskworks.models import RunState, TaskRun
from taskworks.store.base import Base
from taskworks.store.statements import per_statement


class TakingOver(Base):
    """Insert runs that are not new."""

    def take_over(self, waited: Sequence[tuple[TaskRun, float]]) -> set[UUID]:
        """
        Insert runs that have waited elsewhere, with the ids and the ``enqueued_at`` that they have,
        each with how many seconds it may wait from now on, or from when it is due. One whose id is
        here is not inserted again. Return the ids of the runs that are here now: all but those
        whose id another task's run has.
        """
        now = self.read_clock()
        for run, expires in waited:
            _keep_place(run, now, expires)
        runs = [run for run, _ in waited]
        with writing(self.alias):
            for batch in per_statement(runs, _bytes_of_arguments):
                self.runs.bulk_create(batch, ignore_conflicts=True)
            rows = self.runs.filter(id__in=[run.id for run in runs])
            paths = dict(rows.values_list("id", "task_path"))
        here = {run.id for run in runs if paths.get(run.id) == run.task_path}
        return self._notify_queues_of(runs, here)


def _bytes_of_arguments(run: TaskRun) -> int:
    return jsonvalue.size(run.args) + jsonvalue.size(run.kwargs)


def _keep_place(run: TaskRun, now: datetime, expires: float) -> None:
    """Set the times and the state of a run that was enqueued elsewhere, by other clocks."""
    run.enqueued_at = min(run.enqueued_at, now)
    waits = run.run_after is not None and run.run_after > now
    run.available_at = max(run.run_after or run.enqueued_at, run.enqueued_at)
    if expires != math.inf:
        run.expires_at = _expiry(max(run.available_at, now), expires)
    run.state = (RunState.SCHEDULED if waits else RunState.READY).value


def _expiry(moment: datetime, seconds: float) -> datetime | None:
    try:
        return later(moment, timedelta(seconds=seconds))
    except OverflowError:  # beyond the last date
        return None
