"""Insert workflows, and what is added to them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from django.db.models import Count, F

from taskworks.database.transactions import writing
from taskworks.models import Edge, RunState, Step, Workflow
from taskworks.models.workflow import Kind
from taskworks.store.blocking import Blocking
from taskworks.store.new_runs import NewRuns
from taskworks.store.statements import MAX_ROWS_PER_STATEMENT, chunks


class Claim(NamedTuple):
    """What proves that a worker has a run."""

    run: UUID
    token: UUID


class CannotGrow(Exception):  # noqa: N818 - not a programming error
    """Nothing can be added to this workflow: it is gone, has ended, or is being cancelled."""

    def __init__(self, workflow: Workflow | None) -> None:
        super().__init__(workflow)
        self.workflow = workflow


class ClaimLost(Exception):  # noqa: N818 - not a programming error
    """Another worker has the run by now."""


@dataclass(slots=True)
class NewMembers:
    """What is inserted together. A workflow that has an ``outcome`` is empty, and has ended."""

    workflows: list[Workflow] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    runs: list[NewRuns] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)


class NewWorkflows(Blocking):
    """Insert workflows and their members, each in one transaction, or in the caller's."""

    def insert_members(self, new: NewMembers) -> None:
        """
        Insert these workflows, and the steps and runs of these or of others, for which the caller
        is in ``adding_to``.
        """
        with writing(self.alias):
            self.lock_to_write()
            now = self.read_clock()
            for workflow in new.workflows:
                workflow.created_at = now
                workflow.closed_at = workflow.closed_at and now
                workflow.finished_at = now if workflow.outcome else None
            self.workflows.bulk_create(new.workflows, batch_size=MAX_ROWS_PER_STATEMENT)
            self.steps.bulk_create(new.steps, batch_size=MAX_ROWS_PER_STATEMENT)
            self._insert_runs(new)

    def _insert_runs(self, new: NewMembers) -> None:
        edges = self._open_edges(new)
        self.edges.bulk_create(edges, batch_size=MAX_ROWS_PER_STATEMENT)
        blocked = {edge.run.int for edge in edges}
        for runs in new.runs:
            waiting, free = runs.only(blocked), runs.only({*runs.ids} - blocked)
            self._insert_blocked(waiting)
            self.enqueue(free)
            runs.enqueued_at = waiting.enqueued_at or free.enqueued_at

    def _open_edges(self, new: NewMembers) -> list[Edge]:
        """Leave out the edges that hold; those to what is inserted here do not."""
        inserted = {workflow.id for workflow in new.workflows}
        inserted |= {run_id for runs in new.runs for run_id in runs.uuids}
        inside = [edge for edge in new.edges if edge.after in inserted]
        outside = [edge for edge in new.edges if edge.after not in inserted]
        return inside + (self._still_open(outside) if outside else [])

    @contextmanager
    def adding_to(self, workflow: UUID, claim: Claim | None = None) -> Iterator[Workflow]:
        """
        Keep a workflow from ending, and from being cancelled, until this transaction ends; give its
        row. Raise CannotGrow, or ClaimLost if a worker with this claim has lost it.
        """
        with writing(self.alias):
            self.lock_to_write()
            row = self._locked_shared(workflow)
            if row is None or row.finished_at or row.stopping_at:
                raise CannotGrow(row)
            if claim and not self._has(claim):
                raise ClaimLost
            yield row

    def _locked_shared(self, workflow: UUID) -> Workflow | None:
        """Lock a workflow's row; others may do so as well, but not write it. Return the row."""
        # As it is now: a plain read would give what the caller's transaction has seen before, if
        # that is isolated as REPEATABLE READ.
        table, write = self._quoted(Workflow), self.rows.writer("id")
        statement = f"SELECT * FROM {table} WHERE id = %s {self.shared_lock}"  # noqa: S608
        return next(iter(self.workflows.raw(statement, [write(workflow)])), None)

    def _has(self, claim: Claim) -> bool:
        mine = self.runs.in_hand().filter(id=claim.run, claim_token=claim.token)
        return mine.exists()

    def close_workflow(self, workflow: UUID) -> bool:
        """Write that a workflow gets no more members; return False if it was closed before."""
        with writing(self.alias):
            self.lock_to_write()
            now = self.read_clock()
            rows = self.workflows.filter(id=workflow, closed_at=None, finished_at=None)
            return bool(rows.update(closed_at=now))

    # Read.

    def steps_named(self, workflow: UUID, names: Sequence[str]) -> dict[str, Step]:
        """Return those of these steps that a workflow has."""
        return {
            step.name: step
            for some in chunks(names)
            for step in self.steps.filter(workflow=workflow, name__in=some)
        }

    def empty_among(self, ids: Sequence[UUID]) -> set[UUID]:
        """Return those of these workflows that had ended when they were stored: they are empty."""
        return {
            id_
            for some in chunks(ids)
            for id_ in self.workflows.filter(id__in=some, finished_at=F("created_at")).values_list(
                "id", flat=True
            )
        }

    def members(self, workflow: UUID, *, at_most: int) -> int:
        """Return how many runs are members of a workflow itself; stop counting ``at_most``."""
        return self.runs.filter(workflow=workflow).values("id")[:at_most].count()

    def within(self, workflow: UUID) -> list[Workflow]:
        """Return the workflows within a workflow, those that are nearer first."""
        found: list[Workflow] = []
        parents = [workflow]
        while parents:
            some = [
                child
                for few in chunks(parents)
                for child in self.workflows.filter(parent__in=few).order_by("id")
            ]
            found += some
            parents = [child.id for child in some if child.kind == Kind.STEPS]
        return found

    def count_members(self, workflows: Sequence[UUID]) -> dict[RunState, int]:
        """Return how many members of these workflows are in each state."""
        counts: dict[RunState, int] = {}
        for some in chunks(workflows):
            members = self.runs.filter(workflow__in=some)
            rows = members.values_list("state").annotate(number=Count("id")).order_by()
            for state, number in rows:
                counts[RunState(state)] = counts.get(RunState(state), 0) + number
        return counts

    def counts_by_workflow(self, workflows: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
        """Return how many members each of these workflows has itself in each state."""
        counts: dict[UUID, dict[str, int]] = {}
        for some in chunks(workflows):
            members = self.runs.filter(workflow__in=some)
            rows = members.values_list("workflow", "state").annotate(number=Count("id")).order_by()
            for workflow, state, number in rows:
                counts.setdefault(workflow, {})[state] = number
        return counts
