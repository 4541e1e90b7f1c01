"""Cancel and retry a run."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F

from taskworks.database.clock import DatabaseClock
from taskworks.database.transactions import writing
from taskworks.models import RunState, TaskRun
from taskworks.models.pause import LIMIT, Scope
from taskworks.models.run import IN_HAND, LANE_ORDER, UNFINISHED, TaskRunQuerySet
from taskworks.store.stepping import Stepping

# The states of a run that no worker has, in the order in which it goes through them; and the order
# in which the index of each has its runs.
WAITING = {
    RunState.BLOCKED: ["available_at", "id"],
    RunState.SCHEDULED: ["available_at", "id"],
    RunState.READY: ["executor", "rank", "available_at", "id"],
}
# What is written of a run that is to begin again.
RETRIED: dict[str, Any] = {
    "state": RunState.READY,
    "available_at": DatabaseClock(),
    "failures": 0,
    "crashes": 0,
    "finished_at": None,
    "expires_at": None,
    "missing_since": None,
    "cancel_requested_at": None,
    "claimed_by": None,
    "claim_token": None,
    "target": None,
    "progress": None,
}
READ_TO_CANCEL = ("id", "state", "claim_token", "attempts", "failures", "errors")


class Cancelling(Stepping):
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

    def retry(self, run_id: UUID, executor: str | None = None, *, fresh: bool = False) -> bool:
        """
        Make a failed or cancelled run ready, for another executor if one is given; ``fresh``
        forgets its steps and events. Return False if it is neither.
        """
        if not fresh:
            return self._retry(run_id, executor)
        with writing(self.alias):
            # Before the run, as whoever sends an event, or they could wait for each other.
            self.lock_events(run_id)
            if retried := self._retry(run_id, executor):
                self.forget_steps([run_id])
        return retried

    def _retry(self, run_id: UUID, executor: str | None) -> bool:
        retried = self._in(self.runs.filter(id=run_id), RunState.FAILED, RunState.CANCELLED).update(
            executor=F("executor") if executor is None else executor, **RETRIED
        )
        return bool(self._notify_if_any(retried))

    def count_waiting(self, scope: Scope) -> int:
        """Return how many runs of this wait; the cost grows with the runs that do anywhere."""
        parts = (part for state in WAITING for part in _parts(scope, self.runs, state))
        return sum(part.count() for part in parts)

    def has_unfinished(self, scope: Scope) -> bool:
        """Return whether a run of this waits or is in hand; no others are read but such as do."""
        if scope.of(self.runs.in_hand()).exists():
            return True
        # The first in an index: a planner that expects many would read the table.
        parts = (
            part.order_by(*(LANE_ORDER if state == RunState.READY else WAITING[state]))
            for state in WAITING
            for part in _parts(scope, self.runs, state)
        )
        return any([*part.values_list("id", flat=True)[:1]] for part in parts)

    def waiting(
        self,
        scope: Scope,
        state: RunState,
        *,
        before: datetime,
        except_for: Collection[UUID],
        limit: int,
    ) -> list[UUID]:
        """Return runs of this that wait in this state, and were enqueued ``before`` or then."""
        runs = self.runs.filter(enqueued_at__lte=before).exclude(id__in=except_for)
        found: list[UUID] = []
        for part in _parts(scope, runs, state):
            left = limit - len(found)
            found += part.order_by(*WAITING[state]).values_list("id", flat=True)[:left]
        return found

    def cancel_waiting(self, ids: Collection[UUID], entry: Mapping[str, Any]) -> set[UUID]:
        """
        Cancel those of these runs that wait, with this entry in their errors, except those that
        another session has locked. Return the ids of those cancelled.
        """
        with self.locking():
            waiting = self._in(self.runs.filter(id__in=self._lock_free_rows(ids)), *WAITING)
            runs = [*waiting.only(*READ_TO_CANCEL)]
            new = [run.id for run in runs if run.attempts == 0 and not run.errors]
            begun = [run for run in runs if run.attempts > 0 or run.errors]
            cancelled = {run.id for run in begun if self._cancelled(run, entry)}
            return cancelled | self._cancelled_alike(new, entry)

    def _cancelled_alike(self, ids: Collection[UUID], entry: Mapping[str, Any]) -> set[UUID]:
        """Cancel runs that nothing has happened to; return the ids of those that still waited."""
        if not ids:
            return set()
        now, runs = self.read_clock(), self.runs.filter(id__in=ids)
        # Of their newest states, which a REPEATABLE READ transaction of the caller has not read.
        self._in(runs, *WAITING).update(
            state=RunState.CANCELLED,
            finished_at=now,
            errors=[self._error_entry(0, now, entry)],
            cancel_requested_at=self._first_cancel_request(),
        )
        return {*self._in(runs, RunState.CANCELLED).values_list("id", flat=True)}

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


def _parts(scope: Scope, runs: TaskRunQuerySet, state: RunState) -> list[TaskRunQuerySet]:
    """Return those of these runs that are in this state, from each of its indexes."""
    some = scope.of(runs.filter(state=state))
    if state != RunState.READY:
        return [some]
    return [some.limited()] if scope.kind == LIMIT else [some.unlimited(), some.limited()]
