"""
Whether members of a workflow that wait will ever begin. Those that follow what has failed do not,
unless somebody has it retried.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from taskworks.models import Edge, RunState, TaskRun, Workflow
from taskworks.models.run import TaskRunQuerySet
from taskworks.store.blocking import Following, state_before
from taskworks.store.new_workflows import NewWorkflows
from taskworks.store.statements import MAX_ROWS_PER_STATEMENT

UNSUCCESSFUL = (RunState.FAILED, RunState.CANCELLED)


class WorkflowHopes(NewWorkflows):
    """Read what members wait for, and what that waits for."""

    def _near_failures(self, ids: Sequence[UUID]) -> list[UUID]:
        """
        Return those of these workflows in which something has failed, or in one that they are
        within: in others, nothing waits in vain.
        """
        if not ids:
            return []
        parents = self._parents(ids)
        me = OuterRef("id")
        rows = self.workflows.filter(id__in=[*parents]).values_list(
            "id",
            first_of(members_of(me).filter(state__in=UNSUCCESSFUL)),
            first_of(Workflow.objects.filter(parent=me, outcome__in=UNSUCCESSFUL)),
        )
        failed = {id_ for id_, *failures in rows if any(failures)}
        return [id_ for id_ in ids if not failed.isdisjoint(_path(id_, parents))]

    def _parents(self, ids: Sequence[UUID]) -> dict[UUID, UUID | None]:
        """Return the parents of these workflows, of their parents, and so on."""
        parents: dict[UUID, UUID | None] = {}
        level = [*ids]
        while level:
            rows = self.workflows.filter(id__in=level).values_list("id", "parent")
            parents |= dict(rows)
            level = [*{parent for _, parent in rows if parent and parent not in parents}]
        return parents

    def _waits_in_hope(self, workflow: UUID) -> bool:
        """Return whether a blocked member of a workflow waits for something that may come."""
        blocked = self._blocked_members(workflow)
        if not blocked.exists():
            return False
        if blocked.filter(~Exists(self._discouraging_edges())).exists():
            return True
        return not self._hopes(workflow).all_is_lost

    def _released(self, workflow: UUID) -> list[Following]:
        """
        Return the edges of blocked members that wait for the end of what never begins, once nothing
        else can go on: whatever becomes of the others, these are to run.
        """
        blocked = self._blocked_members(workflow)
        for_any_end = Edge.objects.filter(run=OuterRef("id"), any_end=True)
        if not blocked.filter(Exists(for_any_end)).exists():
            return []
        return self._hopes(workflow).released

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
        """
        The edges of members that only wait for the ends of runs that never begin; none if another
        member may begin before these.
        """
        free = {
            member
            for member in self._members - self._lost
            if (edges := self._edges[member]) and all(map(self._never_ends, edges))
        }
        if not self._members <= self._held_up_by(free | self._lost):
            return []
        return [edge for member in free for edge in self._edges[member]]

    def _held_up_by(self, runs: set[UUID]) -> set[UUID]:
        """Return these runs, and those that cannot begin before they do."""
        followers: dict[UUID, list[UUID]] = defaultdict(list)
        for run, edges in self._edges.items():
            for edge in edges:
                if not self._never_ends(edge):
                    followers[edge.after].append(run)
        return _with_followers(runs, followers)

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
        return _with_followers(lost, followers)


def _with_followers(runs: set[UUID], followers: dict[UUID, list[UUID]]) -> set[UUID]:
    found, remaining = {*runs}, [*runs]
    while remaining:
        new = {*followers[remaining.pop()]} - found
        found |= new
        remaining += new
    return found


def _path(workflow: UUID, parents: dict[UUID, UUID | None]) -> set[UUID]:
    """Return a workflow, and those that it is within."""
    path: set[UUID] = set()
    here: UUID | None = workflow
    while here and here not in path:
        path.add(here)
        here = parents.get(here)
    return path


def first_of(rows: QuerySet[Any]) -> Subquery:
    """Return the id of one of these, or NULL."""
    return Subquery(rows.values("id")[:1])  # not Exists, for which PostgreSQL might read all rows


def members_of(workflow: UUID | OuterRef) -> TaskRunQuerySet:
    """Return the runs that are members of a workflow itself."""
    return TaskRun.objects.filter(workflow=workflow)
