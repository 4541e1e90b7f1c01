"""Cancel and retry a run."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import F

from taskworks.database.clock import DatabaseClock
from taskworks.models import RunState, TaskRun
from taskworks.models.run import IN_HAND, UNFINISHED, TaskRunQuerySet
from taskworks.store.base import Base


class Cancelling(Base):
    """Cancel and retry runs, as users and other tasks request."""

    def cancel(self, run_id: UUID, entry: Mapping[str, Any]) -> RunState | None:
        """
        Cancel a waiting run, with this entry in its errors; if a worker has it, request its end.
        Return the state of the run after that; None if it has finished or does not exist.
        """
        while run := self._unfinished(run_id).first():
            if run.state in IN_HAND:
                if self._unchanged(run).update(cancel_requested_at=self._first_cancel_request()):
                    return RunState(run.state)
            elif self._cancelled(run, entry):
                return RunState.CANCELLED
        return None

    def retry(self, run_id: UUID, executor: str | None = None) -> bool:
        """
        Make a failed or cancelled run ready, for another executor if one is given. Return False if
        it is neither.
        """
        retried = self._in(self.runs.filter(id=run_id), RunState.FAILED, RunState.CANCELLED).update(
            state=RunState.READY,
            available_at=DatabaseClock(),
            failures=0,
            crashes=0,
            executor=F("executor") if executor is None else executor,
            finished_at=None,
            expires_at=None,
            missing_since=None,
            cancel_requested_at=None,
            claimed_by=None,
            claim_token=None,
            target=None,
            progress=None,
        )
        return bool(self._notify_if_any(retried))

    def to_cancel(self, worker: UUID) -> set[UUID]:
        """Return the runs of this worker whose cancellation was requested."""
        wanted = self.runs.in_hand().filter(claimed_by=worker, cancel_requested_at__isnull=False)
        return set(wanted.values_list("id", flat=True))

    def asked_to_cancel(self, runs: Sequence[TaskRun]) -> set[UUID]:
        """Return those of these claimed runs that are still ours and are to be cancelled."""
        tokens = {run.id: run.claim_token for run in runs}
        wanted = self.runs.in_hand().filter(id__in=list(tokens), cancel_requested_at__isnull=False)
        rows = wanted.values_list("id", "claim_token")
        return {run_id for run_id, token in rows if token == tokens[run_id]}

    def _unfinished(self, run_id: UUID) -> TaskRunQuerySet:
        return self._in(self.runs.filter(id=run_id), *UNFINISHED)
