"""
When a workflow ends, and who writes it.

No counter says so: whether a workflow can go on is read from the states of its members. What is
read may change in the next moment, so the end is written by one who has locked the workflow's row,
and has looked again since. Every step of it may be repeated, by anybody.
"""

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from taskworks.models import Edge, RunState, Step, TaskRun, Workflow
from taskworks.models.run import TaskRunQuerySet
from taskworks.models.workflow import Kind, OnFailure
from taskworks.store.blocking import Following, state_before
from taskworks.store.new_workflows import NewWorkflows
from taskworks.store.statements import MAX_ROWS_PER_STATEMENT

ACTIVE = (RunState.SCHEDULED, RunState.READY, RunState.CLAIMED, RunState.RUNNING)
MOST_HOPELESS = 100  # workflows that are looked at when a member has failed
UNSUCCESSFUL = (RunState.FAILED, RunState.CANCELLED)


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


class WorkflowEnds(NewWorkflows):
    """Write that workflows have ended, and make ready what has waited for them."""

    def unfinished_workflows(self, last: UUID | None, limit: int) -> list[Unfinished]:
        """Return the next workflows that have not ended, after the last."""
        rows = self.workflows.filter(finished_at=None).order_by("id")
        return self._read(rows.filter(id__gt=last) if last else rows, limit)

    @staticmethod
    def _read(rows: QuerySet[Workflow], limit: int) -> list[Unfinished]:
        me = OuterRef("id")
        children = Workflow.objects.filter(parent=me)
        is_new = Q(finished_at__gte=Coalesce(OuterRef("reopened_at"), F("finished_at")))
        columns = rows.values_list(
            "id",
            "closed_at",
            "stopping_at",
            "on_failure",
            _first_of(_members(me).filter(state__in=ACTIVE)),
            _first_of(children.filter(finished_at=None)),
            _first_of(_members(me).filter(is_new, state__in=UNSUCCESSFUL)),
            _first_of(children.filter(is_new, outcome__in=UNSUCCESSFUL)),
        )
        return [
            Unfinished(
                id_,
                closed is not None,
                stopping is not None,
                on_failure == OnFailure.STOP,
                bool(is_active or has_child),
                bool(has_failed or has_failed_child),
            )
            for (
                id_,
                closed,
                stopping,
                on_failure,
                is_active,
                has_child,
                has_failed,
                has_failed_child,
            ) in columns[:limit]
        ]

    def end_workflows(self, ids: Iterable[UUID]) -> Ends:
        """
        Write that those of these workflows have ended that have, and those that they are steps of.
        The sweep does it for a caller who cannot see whether others have added members to them.
        """
        ends, to_do = Ends(), deque(dict.fromkeys(ids) if self.sees_commits else ())
        while to_do:
            workflow = to_do.popleft()
            if not self._may_have_ended(workflow):
                continue
            if self._released(workflow):
                ends.unblocked += self._release(workflow)
            elif row := self._end(workflow):
                ends.finished.append(row)
                ends.unblocked += self.pass_on(self.followers([row.id]))
                if row.parent and row.outcome != RunState.SUCCESSFUL:
                    to_do += self.hopeless_within(row.parent)
                to_do += [row.parent] if row.parent else []
        return ends

    def hopeless_within(self, workflow: UUID) -> list[UUID]:
        """
        Return unfinished workflows within this one, in which a member has failed: what follows that
        may have no hope left. The sweep finds those that are more than a few.
        """
        found: list[UUID] = []
        level = [workflow]
        while level and len(found) < MOST_HOPELESS:
            rows = self.workflows.filter(parent__in=level, finished_at=None)
            level = [*rows.values_list("id", flat=True)[:MOST_HOPELESS]]
            found = [*level, *found]
        return found

    def _may_have_ended(self, workflow: UUID) -> bool:
        """Look without a lock: almost always, a member is not ready yet."""
        row = self.workflows.filter(id=workflow, finished_at=None, closed_at__isnull=False)
        return row.filter(*self._is_idle(workflow)).exists()

    @staticmethod
    def _is_idle(workflow: UUID) -> tuple[Q, Q]:
        active = _members(workflow).filter(state__in=ACTIVE)
        unfinished = Workflow.objects.filter(parent=workflow, finished_at=None)
        return ~Q(Exists(active)), ~Q(Exists(unfinished))

    def _end(self, workflow: UUID) -> Workflow | None:
        """Write the end of a workflow, and return its row, if nothing has come in between."""
        with self.locking():
            locked = self.workflows.filter(id=workflow, finished_at=None)
            row = locked.select_for_update(skip_locked=True).first()
            # In a statement of its own: this one sees what was committed before the lock.
            if row is None or not self._may_have_ended(workflow) or self._waits_in_hope(workflow):
                return None
            if self._is_to_stop_first(workflow):
                return None
            row.outcome, row.finished_at = self._outcome(row), self.read_clock()
            self.workflows.filter(id=workflow).update(
                outcome=row.outcome, finished_at=row.finished_at
            )
            return row

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
        rows = self._read(self.workflows.filter(id=to_stop, finished_at=None), 1) if to_stop else []
        return any(row.is_to_stop and not row.is_stopping for row in rows)

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

    def _outcome(self, row: Workflow) -> str:
        members, children = _members(row.id), Workflow.objects.filter(parent=row.id)
        [(failed, failed_child, cancelled, cancelled_child, waits)] = self.workflows.filter(
            id=row.id
        ).values_list(
            Exists(members.filter(state=RunState.FAILED)),
            Exists(children.filter(outcome=RunState.FAILED)),
            Exists(members.filter(state=RunState.CANCELLED)),
            Exists(children.filter(outcome=RunState.CANCELLED)),
            Exists(members.filter(state=RunState.BLOCKED)),
        )
        if failed or failed_child:
            return RunState.FAILED.value
        if cancelled or cancelled_child or row.stopping_at:
            return RunState.CANCELLED.value
        return (RunState.FAILED if waits else RunState.SUCCESSFUL).value

    # What waits.

    def _waits_in_hope(self, workflow: UUID) -> bool:
        """
        Return whether a blocked member of an idle workflow waits for something that may come.
        """
        blocked = self._blocked_members(workflow)
        if not blocked.exists():
            return False
        if blocked.filter(~Exists(self._discouraging_edges())).exists():
            return True
        return not self._hopes(workflow).all_is_lost

    def _released(self, workflow: UUID) -> list[Following]:
        """
        Return the edges of blocked members that wait for the end of what never begins: whatever
        becomes of the others, these are to run.
        """
        blocked = self._blocked_members(workflow)
        if not blocked.filter(Exists(Edge.objects.filter(run=OuterRef("id"), any_end=True))):
            return []
        return self._hopes(workflow).released

    def _release(self, workflow: UUID) -> int:
        """Make these runs ready, unless a retry has given hope again to what they wait for."""
        with self.locking():
            locked = self.workflows.filter(id=workflow, finished_at=None)
            row = locked.select_for_update(skip_locked=True).first()
            # In statements of their own, as in _end.
            is_idle = row is not None and self._may_have_ended(workflow)
            edges = self._released(workflow) if is_idle else []
            self.delete_edges(edges)
        return self.unblock({edge.run for edge in edges})

    def _hopes(self, workflow: UUID) -> "Hopes":
        """Read what the blocked members wait for, and what that waits for."""
        members = {*self._blocked_members(workflow).values_list("id", flat=True)}
        edges: dict[UUID, list[Following]] = defaultdict(list)
        remaining = [*members]
        while remaining:
            some, remaining = remaining[:MAX_ROWS_PER_STATEMENT], remaining[MAX_ROWS_PER_STATEMENT:]
            for edge in self._following(self.edges.filter(run__in=some)):
                is_new = edge.after not in edges and edge.after not in members
                if edge.state_before == RunState.BLOCKED and is_new:
                    edges[edge.after] = []
                    remaining.append(edge.after)
                edges[edge.run].append(edge)
        return Hopes(members, edges)

    def _blocked_members(self, workflow: UUID) -> TaskRunQuerySet:
        return self.runs.filter(workflow=workflow, state=RunState.BLOCKED)

    @staticmethod
    def _discouraging_edges() -> QuerySet[Edge]:
        """Return the edges of a run to what has failed, or is blocked itself."""
        edges = Edge.objects.filter(run=OuterRef("id")).annotate(before=state_before())
        has_failed = Q(before__in=UNSUCCESSFUL, any_end=False, only_failed=False)
        return edges.filter(has_failed | Q(before=RunState.BLOCKED))


class Hopes:
    """
    Which blocked runs never begin, unless somebody has another one retried: those that follow what
    has failed, or another one of these.
    """

    def __init__(self, members: set[UUID], edges: dict[UUID, list[Following]]) -> None:
        self._members, self._edges = members, edges
        self._lost = self._without_hope()

    @property
    def all_is_lost(self) -> bool:
        """True if none of the members may begin."""
        return self._members <= self._lost

    @property
    def released(self) -> list[Following]:
        """The edges of members that only wait for the ends of runs that never begin."""
        return [
            edge
            for member in self._members - self._lost
            if (edges := self._edges[member]) and all(map(self._never_ends, edges))
            for edge in edges
        ]

    def _never_ends(self, edge: Following) -> bool:
        return edge.any_end and edge.after in self._lost

    def _without_hope(self) -> set[UUID]:
        followers: dict[UUID, list[UUID]] = defaultdict(list)
        lost: set[UUID] = set()
        for run, edges in self._edges.items():
            for edge in edges:
                if not edge.any_end:
                    followers[edge.after].append(run)
                    if edge.state_before in UNSUCCESSFUL and not edge.only_failed:
                        lost.add(run)
        remaining = [*lost]
        while remaining:
            new = {*followers[remaining.pop()]} - lost
            lost |= new
            remaining += new
        return lost


def _first_of(rows: QuerySet[Any]) -> Subquery:
    """Return the id of one of these, or NULL."""
    return Subquery(rows.values("id")[:1])  # not Exists, for which PostgreSQL might read all rows


def _spared() -> QuerySet[Step]:
    """Return the step of a run, if that is to run whatever becomes of the others."""
    return Step.objects.filter(id=OuterRef("id"), always=True)


def _members(workflow: UUID | OuterRef) -> TaskRunQuerySet:
    return TaskRun.objects.filter(workflow=workflow)
