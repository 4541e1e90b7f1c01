"""
When a workflow ends, and who writes it.

No counter says so: whether a workflow can go on is read from the states of its members. What is
read may change in the next moment, so the end is written by one who has locked the workflow's row,
and has looked again since. Every step of it may be repeated, by anybody.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from taskworks import real_time as time
from taskworks.database.composed import fetch
from taskworks.models import RunState, Step, Workflow
from taskworks.models.workflow import Kind, OnFailure
from taskworks.store.workflow_hopes import UNSUCCESSFUL, WorkflowHopes, first_of, members_of

ACTIVE = (RunState.SCHEDULED, RunState.READY, RunState.CLAIMED, RunState.RUNNING)
AT_ONCE = 500  # workflows that are ended in one transaction
MOST_HOPELESS = 100  # workflows that are looked at when a member has failed


@dataclass(slots=True)
class Ends:
    """The workflows that have ended, in this order, and how many runs became ready after them."""

    finished: list[Workflow] = field(default_factory=list)
    unblocked: int = 0


class Unfinished(NamedTuple):
    """A workflow that has not ended, in the order in which a sweep goes through them."""

    id: UUID
    is_closed: bool
    is_stopping: bool
    stops_on_failure: bool
    is_active: bool  # whether a member can go on, or a workflow within it has not ended
    # Whether a member, or a workflow within it, has ended without success since it was reopened.
    has_failed: bool

    @property
    def may_be_over(self) -> bool:
        return self.is_closed and not self.is_active

    @property
    def is_to_stop(self) -> bool:
        return self.is_stopping or (self.stops_on_failure and self.has_failed)


class WorkflowEnds(WorkflowHopes):
    """Write that workflows have ended, and make ready what has waited for them."""

    def unfinished_workflows(self, last: UUID | None, limit: int) -> list[Unfinished]:
        """Return the next workflows that have not ended, after the last."""
        if last is None:  # nearly always
            rows = fetch(self.connection, _unfinished, fixed=[limit])
        else:
            rows = fetch(self.connection, _unfinished_since, last, fixed=[limit])
        return [*map(_read, rows)]

    def unfinished_workflow(self, workflow: UUID) -> Unfinished | None:
        """Return the workflow, or None if it has ended, or is not there."""
        rows = self.workflows.filter(id=workflow, finished_at=None)
        return next(map(_read, _columns_of_unfinished(rows)), None)

    def end_workflows(
        self, ids: Iterable[UUID], until: float = math.inf, into: Ends | None = None
    ) -> Ends:
        """
        Write that those of these workflows have ended that have, and those that they are steps of.
        ``until``, by time.monotonic(), is when to leave the others to the sweep. It does so too for
        a caller who cannot see whether others have added members to them. ``into`` has the ends
        that were written, even if this raises.
        """
        ends, remaining = (
            Ends() if into is None else into,
            dict.fromkeys(ids if self.sees_commits else ()),
        )
        while remaining:
            some = [*remaining][:AT_ONCE]
            for id_ in some:
                del remaining[id_]
            before = len(ends.finished)
            self._end_some_of(some, ends, until)
            finished = ends.finished[before:]
            ends.unblocked += self.unblock_after([row.id for row in finished], until)
            remaining |= dict.fromkeys(self._to_look_at_after(finished))
            if time.monotonic() >= until:
                break
        return ends

    def _end_some_of(self, ids: Sequence[UUID], ends: Ends, until: float) -> None:
        # Without a lock: almost always, a member is not ready yet.
        idle = self._idle(ids)
        ends.finished += self._end_all([id_ for id_, waits in idle.items() if not waits])
        for workflow in self._near_failures([id_ for id_, waits in idle.items() if waits]):
            if self._released(workflow):
                ends.unblocked += self._release(workflow)
            else:
                ends.finished += self._end_in_vain(workflow)
            if time.monotonic() >= until:
                break

    def _to_look_at_after(self, finished: Iterable[Workflow]) -> list[UUID]:
        """Return the workflows that may have ended since these have."""
        failed = dict.fromkeys(
            row.parent for row in finished if row.parent and row.outcome != RunState.SUCCESSFUL
        )
        within = [id_ for parent in failed for id_ in self.hopeless_within(parent)]
        return [*within, *(row.parent for row in finished if row.parent)]

    def hopeless_within(self, workflow: UUID) -> list[UUID]:
        """
        Return unfinished workflows within this one, in which a member has failed: what follows that
        may have no hope left. The sweep finds those that are more than a few.
        """
        found: list[UUID] = []
        level = [workflow]
        while level and len(found) < MOST_HOPELESS:
            rows = self.workflows.filter(parent__in=level, outcome=None)
            level = [*rows.values_list("id", flat=True)[:MOST_HOPELESS]]
            found = [*level, *found]
        return found

    def _idle(self, ids: Sequence[UUID]) -> dict[UUID, bool]:
        """
        Return those of these workflows in which no member can go on, and whether some wait. In one
        statement: one that waits may be ready in the next moment.
        """
        rows = fetch(self.connection, _activity, [*ids])
        return {id_: waits is not None for id_, waits, *active in rows if not any(active)}

    def _is_over(self, workflow: UUID) -> bool:
        """Return whether no member can go on, nor could if the pause of its task ended."""
        rows = fetch(self.connection, _activity_and_parked, [workflow])
        return any(not any(active) for _, _, *active in rows)

    def _end_all(self, ids: Sequence[UUID]) -> list[Workflow]:
        """Write the ends of these workflows, of which no member waits; return those that ended."""
        if not ids:
            return []
        with self.locking():
            rows = self._lock_free_workflows(ids)
            # In a statement of its own: this one sees what was committed before the lock.
            idle = self._idle([row.id for row in rows])
            over = [row for row in rows if idle.get(row.id) is False]
            self._write_ends(over)
        return over

    def _end_in_vain(self, workflow: UUID) -> list[Workflow]:
        """Write the end of a workflow, and return it, if all members that wait do so in vain."""
        with self.locking():
            rows = self._lock_free_workflows([workflow])
            # What waits in hope may be ready in the next moment, so whether something can go on is
            # asked later. Nothing begins to wait in between, unless its task is paused.
            if not rows or self._waits_in_hope(workflow) or not self._is_over(workflow):
                return []
            if self._is_to_stop_first(workflow):
                return []
            self._write_ends(rows)
        return rows

    def _lock_free_workflows(self, ids: Sequence[UUID]) -> list[Workflow]:
        """Lock the unfinished ones of these that no other session has locked; return them."""
        # By the primary key: see _lock_free_rows.
        rows = self.workflows.filter(id__in=ids).select_for_update(skip_locked=True)
        return [row for row in rows if row.finished_at is None]

    def _write_ends(self, rows: Sequence[Workflow]) -> None:
        if not rows:
            return
        outcomes, now = self._outcomes(rows), self.read_clock()
        for row in rows:
            row.outcome, row.finished_at = outcomes[row.id], now
        for outcome in {*outcomes.values()}:
            ids = [row.id for row in rows if row.outcome == outcome]
            self.workflows.filter(id__in=ids).update(outcome=outcome, finished_at=now)

    def _is_to_stop_first(self, workflow: UUID) -> bool:
        """
        Return whether members wait that are cancelled as soon as somebody sees the failure, or by
        somebody who has begun to: if that one has died, by the sweep.
        """
        blocked = self._blocked_members(workflow)
        if not blocked.exists():
            return False
        if self._is_being_stopped(workflow):
            return blocked.filter(~Exists(_spared())).exists()
        to_stop = self.to_stop_after_failure(workflow)
        row = self.unfinished_workflow(to_stop) if to_stop else None
        return row is not None and row.is_to_stop and not row.is_stopping

    def _is_being_stopped(self, workflow: UUID) -> bool:
        """Return whether this is stopping, or one that it is within, which does not spare it."""
        here: UUID | None = workflow
        while here and (row := self.workflows.filter(id=here).first()):
            if row.stopping_at and not row.finished_at:
                return True
            is_spared = self.steps.filter(id=here, always=True).exists()
            here = None if is_spared else row.parent
        return False

    def to_stop_after_failure(self, workflow: UUID) -> UUID | None:
        """Return the workflow that is to stop because a member of this one has failed."""
        row = self.workflows.filter(id=workflow).first()
        while row and row.kind == Kind.GROUP and row.parent:
            row = self.workflows.filter(id=row.parent).first()
        if row is None or row.finished_at or row.on_failure != OnFailure.STOP:
            return None
        return row.id

    def _outcomes(self, rows: Iterable[Workflow]) -> dict[UUID, str]:
        me = OuterRef("id")
        members, children = members_of(me), Workflow.objects.filter(parent=me)
        columns = self.workflows.filter(id__in=[row.id for row in rows]).values_list(
            "id",
            "stopping_at",
            *(
                first_of(ended)
                for outcome in (RunState.FAILED, RunState.CANCELLED)
                for ended in (members.filter(state=outcome), children.filter(outcome=outcome))
            ),
            first_of(members.filter(state=RunState.BLOCKED)),
        )
        outcomes = {}
        for id_, stopping, failed, failed_child, cancelled, cancelled_child, waits in columns:
            state = RunState.FAILED if waits else RunState.SUCCESSFUL
            if cancelled or cancelled_child or stopping:
                state = RunState.CANCELLED
            if failed or failed_child:
                state = RunState.FAILED
            outcomes[id_] = state.value
        return outcomes

    def _release(self, workflow: UUID) -> int:
        """Make these runs ready, unless a retry has given hope again to what they wait for."""
        with self.locking():
            edges = self._released(workflow) if self._lock_free_workflows([workflow]) else []
            if not edges or not self._is_over(workflow):  # asked later: see _end_in_vain
                return 0
            self.delete_edges(edges)
        return self.unblock({edge.run for edge in edges})


def _unfinished(limit: int) -> "QuerySet[Workflow, Any]":
    rows = Workflow.objects.filter(finished_at=None).order_by("id")
    return _columns_of_unfinished(rows)[:limit]


def _unfinished_since(last: UUID, limit: int) -> "QuerySet[Workflow, Any]":
    rows = Workflow.objects.filter(finished_at=None, id__gt=last).order_by("id")
    return _columns_of_unfinished(rows)[:limit]


def _columns_of_unfinished(rows: "QuerySet[Workflow]") -> "QuerySet[Workflow, Any]":
    """Return the query of what makes an ``Unfinished``."""
    me = OuterRef("id")
    children = Workflow.objects.filter(parent=me)
    is_new = Q(finished_at__gte=Coalesce(OuterRef("reopened_at"), F("finished_at")))
    return rows.values_list(
        "id",
        "closed_at",
        "stopping_at",
        "on_failure",
        first_of(members_of(me).filter(state__in=ACTIVE)),
        first_of(children.filter(outcome=None)),
        first_of(members_of(me).filter(is_new, state__in=UNSUCCESSFUL)),
        first_of(children.filter(is_new, outcome__in=UNSUCCESSFUL)),
    )


def _read(columns: Sequence[Any]) -> Unfinished:
    id_, closed, stopping, on_failure, is_active, has_child, has_failed, has_failed_child = columns
    return Unfinished(
        id_,
        is_closed=closed is not None,
        is_stopping=stopping is not None,
        stops_on_failure=on_failure == OnFailure.STOP,
        is_active=bool(is_active or has_child),
        has_failed=bool(has_failed or has_failed_child),
    )


def _activity(ids: Sequence[UUID], *more: Subquery) -> "QuerySet[Workflow, Any]":
    """Return the ids of workflows that may end, of members that wait, and of what goes on."""
    me = OuterRef("id")
    rows = Workflow.objects.filter(id__in=ids, finished_at=None, closed_at__isnull=False)
    return rows.values_list(
        "id",
        first_of(members_of(me).filter(state=RunState.BLOCKED)),
        first_of(members_of(me).filter(state__in=ACTIVE)),
        first_of(Workflow.objects.filter(parent=me, outcome=None)),
        *more,
    )


def _activity_and_parked(ids: Sequence[UUID]) -> "QuerySet[Workflow, Any]":
    blocked = members_of(OuterRef("id")).filter(state=RunState.BLOCKED)
    return _activity(ids, first_of(blocked.filter(claimed_at__isnull=False)))


def _spared() -> QuerySet[Step]:
    """Return the step of a run, if that is to run whatever becomes of the others."""
    return Step.objects.filter(id=OuterRef("id"), always=True)
