"""Workers, their heartbeats, and the runs of dead workers."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When

from taskworks.conf import conf
from taskworks.database.clock import DatabaseClock
from taskworks.database.composed import fetch
from taskworks.models import Edge, RunState, Schedule, TaskRun, Worker, Workflow
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
    asked_to: str = ""  # what the worker is asked to do
    silent: bool = False  # a living worker that has been silent for too long
    lost: bool = False  # a run without a living worker
    run: UUID | None = None  # one that waits for others
    edge: int | None = None  # one, which may be left of such a run
    workflow: UUID | None = None  # one that has not ended
    scheduled: bool = False  # an enabled schedule
    failures_due: bool = False  # that are to be grouped
    statistics_due: bool = False  # that are to be compacted
    gauges_due: bool = False  # how much waits is to be sampled

    @property
    def blocked(self) -> bool:
        """True if there is something for the sweep of blocked runs."""
        return self.run is not None or self.edge is not None

    @property
    def bookkeeping_due(self) -> bool:
        """True if one of the workers is to do what it does for all."""
        return self.failures_due or self.statistics_due


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
        fixed = silence, bool(conf().statistics)
        rows = fetch(self.connection, _overview, witness, fixed=fixed)
        return Overview(*rows[0]) if rows else Overview()

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
        heard = _their_workers().filter(heartbeat_at__gte=DatabaseClock(-silence))
        lost = self.runs.in_hand().filter(~Exists(heard))
        lost = lost.filter(Q(backend=backend) | Q(limit_name__isnull=False))
        rows = lost.order_by().values_list("queue_name", "limit_name").distinct()
        return {(queue_name, limit is not None) for queue_name, limit in rows}

    def leave(self, worker: UUID) -> None:
        """Delete a worker's row, and the rows of workers given up more than a day ago."""
        past = self.workers.filter(given_up_at__lt=DatabaseClock(-timedelta(days=1)))
        (past | self.workers.filter(id=worker)).delete()

    def _lost(self) -> TaskRunQuerySet:
        return _lost_runs().using(self.alias)


def _overview(witness: UUID, silence: timedelta, counts: bool) -> "QuerySet[Worker, Any]":
    """Return the query of an ``Overview``; ``counts`` tells whether there are statistics."""
    heard = OuterRef("heartbeat_at")
    # The first in an index: a planner that expects many blocked runs would read the table.
    blocked = TaskRun.objects.blocked().order_by("available_at", "id").values("id")
    edges = Edge.objects.order_by("id").values("id")
    workflows = Workflow.objects.filter(finished_at=None).order_by("id").values("id")
    return (
        Worker.objects.living()
        .filter(id=witness)
        .values_list(
            "heartbeat_at",
            "asked_to",
            Exists(Worker.objects.living().filter(_far_from(heard, silence))),
            Exists(_lost_runs()),
            Subquery(blocked[:1]),
            Subquery(edges[:1]),
            Subquery(workflows[:1]),
            Exists(Schedule.objects.enabled()),
            failures_are_due(),
            *((statistics_are_due(), gauges_are_due()) if counts else ()),
        )
    )


def _lost_runs() -> TaskRunQuerySet:
    return TaskRun.objects.in_hand().filter(~Exists(_their_workers()))


def _their_workers() -> WorkerQuerySet:
    return Worker.objects.living().filter(id=OuterRef("claimed_by"))


def _far_from(heard: Any, silence: timedelta) -> Q:
    return Q(heartbeat_at__lt=heard - silence) | Q(heartbeat_at__gt=heard + silence)
