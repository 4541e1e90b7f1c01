"""What people do to many runs at once. Each statement says in which states that is possible."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from taskworks.database.clock import DatabaseClock
from taskworks.models import Edge, RunState, TaskRun
from taskworks.models.run import FINISHED, TaskRunQuerySet
from taskworks.options.policy import ALONE
from taskworks.store.cancelling import RETRIED, WAITING
from taskworks.store.pruning import Pruning


class Steering(Pruning):
    """
    Retry, run now, move and delete runs, up to a few hundred per call. What another session has
    locked is left alone. Each returns the ids of those that were changed.
    """

    def retry_all(self, ids: Sequence[UUID]) -> set[UUID]:
        """
        Make those ready that have failed or were cancelled; without members of workflows and
        suspects that are executed alone, for which more is to be done.
        """
        simple = self.runs.filter(workflow=None).exclude(executor=ALONE)
        states = (RunState.FAILED, RunState.CANCELLED)
        return self._steered(ids, simple, states, **RETRIED)

    def run_now(self, ids: Sequence[UUID], before: datetime) -> set[UUID]:
        """Make those ready that wait for their time, and have not been begun after ``before``."""
        untouched = Q(last_attempted_at=None) | Q(last_attempted_at__lte=before)
        now = {"state": RunState.READY, "available_at": DatabaseClock()}
        return self._steered(ids, self.runs.filter(untouched), [RunState.SCHEDULED], **now)

    def move(
        self, ids: Sequence[UUID], queue_name: str | None = None, rank: int | None = None
    ) -> set[UUID]:
        """Give those that wait another queue, another rank, or both."""
        changes = {"queue_name": queue_name, "rank": rank}
        given = {name: value for name, value in changes.items() if value is not None}
        return self._steered(ids, self.runs.all(), [*WAITING], **given)

    def delete(self, ids: Sequence[UUID]) -> set[UUID]:
        """
        Delete those that have ended, with their keys, steps and events; without members of
        workflows, which go with it, and what a waiting run is to learn that it has succeeded.
        """
        is_followed = Exists(Edge.objects.filter(after=OuterRef("id")))
        needless = ~Q(state=RunState.SUCCESSFUL) | ~is_followed
        meant = self._in(self.runs.filter(needless, workflow=None), *FINISHED)
        there = {*self.runs.filter(id__in=ids).values_list("id", flat=True)}
        self.delete_with_traces(ids, meant)
        return there.difference(self.runs.filter(id__in=ids).values_list("id", flat=True))

    def note(self, run: TaskRun, key: str, value: Any) -> None:
        """Add a value to a list in the metadata of a run as ``locked_end`` has returned it."""
        noted = run.metadata.get(key)
        values = [*(noted if isinstance(noted, list) else []), value]
        self.runs.filter(id=run.id).update(metadata={**run.metadata, key: values})

    def locked_end(self, run_id: UUID) -> TaskRun | None:
        """Lock a run that has ended, in the caller's transaction; None if there is no such one."""
        self.lock_to_write()
        return self._in(self.runs.filter(id=run_id).select_for_update(), *FINISHED).first()

    def _steered(
        self, ids: Sequence[UUID], some: TaskRunQuerySet, states: Collection[str], **changes: Any
    ) -> set[UUID]:
        with self.locking():
            self.lock_to_write()
            meant = self._in(some.filter(id__in=ids), *states)
            # With a column that no index has, and the newest state, which a transaction of the
            # caller may not have read.
            rows = meant.select_for_update(skip_locked=True).values_list("id", "attempts")
            free = {run_id for run_id, _ in rows}
            written = self.runs.filter(id__in=free).update(**changes) if free else 0
        self._notify_if_any(written)
        return free
