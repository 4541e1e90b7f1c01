"""Workers, their heartbeats, and the runs of dead workers."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Case, Exists, F, OuterRef, Q, Subquery, Value, When

from taskworks.conf import conf
from taskworks.database.clock import DatabaseClock
from taskworks.models import RunState, TaskRun, Worker
from taskworks.models.run import TaskRunQuerySet
from taskworks.models.worker import Request, WorkerQuerySet
from taskworks.options.policy import ALONE
from taskworks.store.base import Base
from taskworks.store.shared_duties import (
    failures_are_due,
    gauges_are_due,
    statistics_are_due,
)

# Values of a run that was taken from its worker.
RESCUED = {
    "state": RunState.READY.value,
    "claimed_by": None,
    "claim_token": None,
    "target": None,
    "progress": None,
}


class Overview(NamedTuple):
    """A worker's latest heartbeat, and whether there is anything to do about other rows."""

    heartbeat_at: datetime | None = None  # None if it was given up
    silent: bool = False  # a living worker that has been silent for too long
    lost: bool = False  # a run without a living worker
    blocked: bool = False  # a run that waits for others, or an edge that is left of one
    scheduled: bool = False  # an enabled schedule
    workflows: bool = False  # a workflow that has not ended
    asked_to: str = ""  # what the worker is asked to do
    bookkeeping_due: bool = False  # statistics to compact, or failures to group
    gauges_due: bool = False  # how much waits is to be sampled


class Rescuing(Base):
    """Register workers, give up silent ones, and rescue their runs."""

    def register(self, worker: Worker) -> None:
        """Insert a worker's row."""
        worker.started_at = worker.heartbeat_at = DatabaseClock()
        worker.save(force_insert=True, using=self.alias)

    def heartbeat(self, worker: UUID, facts: Mapping[str, Any] | None = None) -> bool:
        """
        Write a heartbeat, and these columns of the worker; return False if it was given up.
        """
        alive = self.workers.living().filter(id=worker)
        return bool(alive.update(heartbeat_at=DatabaseClock(), **(facts or {})))

    def ask_worker(self, worker: UUID, to: Request) -> bool:
        """
        Ask a living worker to drain or to stop; it reads that with its next heartbeat. One that
        was asked to stop is not asked to drain any more. Return False if it does not live.
        """
        alive = self.workers.living().filter(id=worker)
        asked = alive.exclude(asked_to=Request.STOP) if to == Request.DRAIN else alive
        return bool(asked.update(asked_to=to)) or alive.exists()

    def asked_of(self, worker: UUID) -> str:
        """Return what a worker was asked to do, whether it lives or not; "" if nothing."""
        asked = self.workers.filter(id=worker).values_list("asked_to", flat=True)
        return asked.first() or ""

    def overview(self, silence: timedelta, witness: UUID) -> Overview:
        """Return what a worker must know about other rows, in one statement."""
        heard = OuterRef("heartbeat_at")
        # The first in an index: a planner that expects many blocked runs would read the table.
        blocked = self.runs.blocked().order_by("available_at", "id").values("id")
        edges = self.edges.order_by("id").values("id")
        workflows = self.workflows.filter(finished_at=None).order_by("id").values("id")
        seen, counts = self.workers.living().filter(id=witness), conf().statistics
        row = seen.values(
            "heartbeat_at",
            "asked_to",
            silent=Exists(self.workers.living().filter(_far_from(heard, silence))),
            lost=Exists(self._lost()),
            run=Subquery(blocked[:1]),
            edge=Subquery(edges[:1]),
            scheduled=Exists(self.schedules.enabled()),
            workflow=Subquery(workflows[:1]),
            failures=failures_are_due(self.alias),
            statistics=statistics_are_due(self.alias) if counts else Value(0),
            gauges=gauges_are_due(self.alias) if counts else Value(0),
        ).first()
        if row is None:
            return Overview()
        return Overview(
            row["heartbeat_at"],
            silent=bool(row["silent"]),
            lost=bool(row["lost"]),
            blocked=bool(row["run"] or row["edge"]),
            scheduled=bool(row["scheduled"]),
            workflows=row["workflow"] is not None,
            asked_to=row["asked_to"],
            bookkeeping_due=bool(row["failures"] or row["statistics"]),
            gauges_due=bool(row["gauges"]),
        )

    def give_up(self, silence: timedelta, witness: UUID) -> int:
        """
        Give up the workers whose latest heartbeat is ``silence`` older than that of the witness, a
        living worker. Return how many.

        The caller makes sure that the database's clock has not jumped.
        """
        # Heartbeats are compared with the witness's, not with the clock: what kept the others from
        # the database may have delayed this statement too. A clock that was set back leaves dead
        # workers with heartbeats in the future, so these count as silent as well.
        living = self.workers.living().filter(id=witness)
        heard = living.values_list("heartbeat_at", flat=True).first()
        if heard is None:
            return 0
        silent = self.workers.living().filter(_far_from(heard, silence))
        return silent.update(given_up_at=DatabaseClock())

    def give_up_dead(self, worker: UUID) -> bool:
        """Give up a worker whose process has died; return False if it has no living row."""
        alive = self.workers.living().filter(id=worker)
        return bool(alive.update(given_up_at=DatabaseClock()))

    def has_lost(self) -> bool:
        """Return whether there are runs without a living worker."""
        return self._lost().exists()

    def rescue(self, limit: int) -> list[TaskRun]:
        """
        Make up to ``limit`` runs without a living worker ready, behind the others; return them.
        Runs for ``fail_lost`` and ``cancel_lost`` are left out.

        Each may have caused its worker's death, so it is executed alone, except at-most-once runs:
        these have not begun, or their start would have been written.
        """
        begun = Q(at_most_once=True, state=RunState.RUNNING)
        suspects = When(at_most_once=False, then=Value(ALONE))
        rescued = self._change_some(
            self._lost().filter(cancel_requested_at=None).exclude(begun),
            limit,
            **RESCUED,
            available_at=DatabaseClock(),
            executor=Case(suspects, default=F("executor")),
        )
        for run in rescued:
            for name, value in RESCUED.items():
                setattr(run, name, value)
        self._notify_if_any(len(rescued))
        return rescued

    def fail_lost(self, limit: int, entry: Mapping[str, Any]) -> list[TaskRun]:
        """
        Fail up to ``limit`` at-most-once runs that have begun and have no living worker, with this
        entry in their errors; return them.
        """
        begun = self._lost().filter(at_most_once=True, state=RunState.RUNNING)
        return self._end_some(
            begun.filter(cancel_requested_at=None),
            limit,
            lambda run: self._ended(run, RunState.FAILED, entry),
        )

    def cancel_lost(self, limit: int, entry: Mapping[str, Any]) -> list[TaskRun]:
        """
        Cancel up to ``limit`` runs without a living worker whose cancellation was requested, with
        this entry in their errors; return them.
        """
        lost = self._lost().filter(cancel_requested_at__isnull=False)
        return self._end_some(lost, limit, lambda run: self._cancelled(run, entry))

    def awaiting_rescue(self, backend: str, silence: timedelta) -> set[tuple[str, bool]]:
        """
        Return the queues of the runs that ``give_up`` and ``rescue`` would make ready, each with
        whether such a run takes a slot of a limit: these of any backend, others of this one.
        """
        heard = self._their_workers().filter(heartbeat_at__gte=DatabaseClock(-silence))
        lost = self.runs.in_hand().filter(~Exists(heard))
        lost = lost.filter(Q(backend=backend) | Q(limit_name__isnull=False))
        rows = lost.order_by().values_list("queue_name", "limit_name").distinct()
        return {(queue_name, limit is not None) for queue_name, limit in rows}

    def leave(self, worker: UUID) -> None:
        """Delete a worker's row, and the rows of workers given up more than a day ago."""
        past = self.workers.filter(given_up_at__lt=DatabaseClock(-timedelta(days=1)))
        (past | self.workers.filter(id=worker)).delete()

    def _lost(self) -> TaskRunQuerySet:
        return self.runs.in_hand().filter(~Exists(self._their_workers()))

    @staticmethod
    def _their_workers() -> WorkerQuerySet:
        return Worker.objects.living().filter(id=OuterRef("claimed_by"))


def _far_from(heard: Any, silence: timedelta) -> Q:
    return Q(heartbeat_at__lt=heard - silence) | Q(heartbeat_at__gt=heard + silence)
