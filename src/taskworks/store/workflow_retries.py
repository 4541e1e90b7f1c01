"""Retry what has failed in a workflow, or from a step on."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef

from taskworks.database.clock import DatabaseClock
from taskworks.database.transactions import writing
from taskworks.models import Edge, RunState, Step, TaskRun, Workflow
from taskworks.models.workflow import Kind
from taskworks.store.blocking import holds
from taskworks.store.statements import chunks
from taskworks.store.workflow_hopes import UNSUCCESSFUL
from taskworks.store.workflow_stops import WorkflowStops

ANY_END, FAILURE, SUCCESS = "any_end", "failure", "success"  # the rules in Step.after
AGAIN = {
    "failures": 0,
    "crashes": 0,
    "finished_at": None,
    "return_value": None,
    "expires_at": None,
    "missing_since": None,
    "cancel_requested_at": None,
    "claimed_at": None,  # a blocked run that has this is taken for a parked one
    "claimed_by": None,
    "claim_token": None,
    "target": None,
    "progress": None,
}


class UnknownStep(Exception):  # noqa: N818 - not a programming error
    """The workflow has no such step; ``names`` are those that it has."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(names)
        self.names = names


@dataclass(slots=True)
class Family:
    """A workflow, those within it, and what is known of their members."""

    workflows: dict[UUID, Workflow]
    steps: dict[UUID, Step]  # by the id of the run or workflow
    # The ids of the steps that follow a step, or are within it.
    next_after: dict[UUID, list[UUID]] = field(default_factory=lambda: defaultdict(list))

    def following(self, first: Step) -> set[UUID]:
        """Return the ids of a step, of the steps that follow it, and of what is within them."""
        found, remaining = {first.id}, [first.id]
        while remaining:
            new = {*self.next_after[remaining.pop()]} - found
            found |= new
            remaining += new
        return found


class WorkflowRetries(WorkflowStops):
    """Open workflows again, in which some members are executed again."""

    def retry_workflow(
        self, workflow: UUID, from_step: str | None = None, *, again: bool = False
    ) -> int:
        """
        Retry the members of a workflow, and of those within it, that have failed or were cancelled;
        with ``from_step`` only that step and those that follow it; with ``again`` also the
        successful ones. Return how many; 0 while it is being stopped.

        A member that follows another one of these waits for it again. Raise UnknownStep.
        """
        with writing(self.alias):
            self.lock_to_write()
            above = self._locked_path(workflow)
            if not above or _prevents_retries(above):
                return 0
            family = self._family(above[-1])
            chosen = self._chosen(family, workflow, from_step)
            states = RETRIED_AGAIN if again else UNSUCCESSFUL
            members = self._members_in(family, chosen, states)
            if members:
                for opened in self._reopen(above, members.values()) & family.workflows.keys():
                    family.workflows[opened].outcome = None
                self._redo(family, members, chosen, states)
            return len(members)

    def retry_member(
        self, run: TaskRun, executor: str | None = None, *, fresh: bool = False
    ) -> bool:
        """
        Retry a run and open its workflow; return False if it has not failed, or is stopped. A step
        that was cancelled before it could begin waits for what it follows.
        """
        if run.workflow is None:
            return self.retry(run.id, executor, fresh=fresh)
        with writing(self.alias):
            self.lock_to_write()
            above = self._locked_path(run.workflow)
            if _prevents_retries(above):
                return False
            if not self.retry(run.id, executor, fresh=fresh):
                return False
            self._reopen(above, [])
            self._block_again(run)
            return True

    def what_prevents_retries(self, workflow: UUID) -> Workflow | None:
        """
        Return why nothing of a workflow is retried now: itself, or one that it is within, which is
        being stopped or deleted.
        """
        return _prevents_retries([*self.workflows.filter(id__in=self._path(workflow))])

    def _block_again(self, run: TaskRun) -> None:
        """Have a run that was made ready wait, if what its step follows has not succeeded."""
        of_run = {step.id: step for step in self.steps.filter(id__in=[run.id, run.workflow])}
        step = of_run.get(run.id) or next(iter(of_run.values()), None)  # or that of its group
        if edges := self._still_open(edges_of(run.id, step)) if step else []:
            self._insert_again(edges)
            waiting = self._in(self.runs.filter(id=run.id), RunState.READY)
            waiting.update(state=RunState.BLOCKED, available_at=F("enqueued_at"), claimed_at=None)

    def _locked_path(self, workflow: UUID) -> list[Workflow]:
        """Lock a workflow and those that it is within, the outermost first; return them."""
        ids = self._path(workflow)
        rows = [self.workflows.select_for_update().filter(id=id_).first() for id_ in ids]
        return [row for row in rows if row]

    def _path(self, workflow: UUID) -> list[UUID]:
        """Return the ids of these, in this order."""
        ids: list[UUID] = []
        step: UUID | None = workflow
        while step and step not in ids:
            ids.insert(0, step)
            step = self.workflows.filter(id=step).values_list("parent", flat=True).first()
        return ids

    def _family(self, workflow: Workflow) -> Family:
        rows = [workflow, *self.within(workflow.id)]
        family = Family({row.id: row for row in rows}, {})
        for some in chunks([row.id for row in rows if row.kind == Kind.STEPS]):
            for step in self.steps.filter(workflow__in=some):
                family.steps[step.id] = step
                for before in [step.workflow, *(before for before, _ in rules_of(step))]:
                    family.next_after[before].append(step.id)
        return family

    @staticmethod
    def _chosen(family: Family, workflow: UUID, name: str | None) -> set[UUID] | None:
        """Return the ids of the steps from this one on, and of what is within; None for all."""
        if name is None:
            return None
        own = {step.name: step for step in family.steps.values() if step.workflow == workflow}
        if name not in own:
            raise UnknownStep([*own])
        return family.following(own[name])

    def _members_in(
        self, family: Family, chosen: set[UUID] | None, states: Iterable[str]
    ) -> dict[UUID, UUID]:
        """Return the chosen runs in these states, and the workflow of each."""
        members: dict[UUID, UUID] = {}
        for some in chunks([*family.workflows]):
            rows = self.runs.filter(workflow__in=some, state__in=[*states])
            members |= {run: of for run, of in rows.values_list("id", "workflow") if of}
        if chosen is None:
            return members
        return {run: of for run, of in members.items() if run in chosen or of in chosen}

    def _reopen(self, above: Sequence[Workflow], workflows: Iterable[UUID]) -> set[UUID]:
        """
        Write that these workflows, the last of ``above`` and those that it is within have not
        ended, nor have those of the others whose members wait, or in which nothing can be retried.
        Return their ids.
        """
        parents = {row.id: row.parent for row in (above[0], *self.within(above[0].id))}
        waiting = self._with_blocked_members([*parents])
        judged_again = self._unsuccessful_without_reason([*parents])
        opened: set[UUID] = set()
        for start in (*workflows, *waiting, *judged_again, above[-1].id):
            here: UUID | None = start
            while here and here not in opened:
                opened.add(here)
                here = parents.get(here)
        self._reopen_rows([*opened])
        return opened

    def _unsuccessful_without_reason(self, workflows: Sequence[UUID]) -> set[UUID]:
        """Return those that were cancelled, although each of their members has succeeded."""
        members = TaskRun.objects.filter(workflow=OuterRef("id"), state__in=UNSUCCESSFUL)
        children = Workflow.objects.filter(parent=OuterRef("id"), outcome__in=UNSUCCESSFUL)
        return {
            id_
            for some in chunks(workflows)
            for id_ in self.workflows.filter(id__in=some, outcome__in=UNSUCCESSFUL)
            .filter(~Exists(members), ~Exists(children))
            .values_list("id", flat=True)
        }

    def _reopen_rows(self, ids: Sequence[UUID]) -> None:
        for some in chunks(ids):
            self.workflows.filter(id__in=some).update(
                finished_at=None, outcome=None, stopping_at=None, reopened_at=DatabaseClock()
            )

    def _redo(
        self,
        family: Family,
        members: dict[UUID, UUID],
        chosen: set[UUID] | None,
        states: Iterable[str],
    ) -> None:
        again = RunState.SUCCESSFUL in states
        # Of those that wait, edges may be gone to what is executed again.
        waiting = self._waiting(family, chosen) if again or chosen is not None else {}
        if again:
            self._forget_steps_of_successful(members)
        edges = self._edges_again(family, members, waiting)
        self._insert_again(edges)
        blocked = {edge.run for edge in edges}
        self._write_again(members.keys() & blocked, states, RunState.BLOCKED, F("enqueued_at"))
        free = members.keys() - blocked
        self._write_again(free, states, RunState.READY, DatabaseClock())
        self._notify_if_any(len(free))

    def _forget_steps_of_successful(self, members: Iterable[UUID]) -> None:
        """An attempt would find all of its steps recorded, and return what it has returned."""
        for some in chunks([*members]):
            successful = self._in(self.runs.filter(id__in=some), RunState.SUCCESSFUL)
            self.forget_steps([*successful.values_list("id", flat=True)])

    def _insert_again(self, edges: Sequence[Edge]) -> None:
        """Insert edges, of which some may be there."""
        # Those are replaced: a sweep may have read that they are over, and is about to delete them
        # by their keys.
        for some in chunks([*{edge.run for edge in edges}]):
            rows = self.edges.filter(run__in=some).values_list("run", "after", "id")
            keys = {(run, after): key for run, after, key in rows}
            there = [keys[pair] for edge in edges if (pair := (edge.run, edge.after)) in keys]
            for same in chunks(there):
                self._delete_by_key(Edge, same)
        for few in chunks(edges):
            self.edges.bulk_create(few, ignore_conflicts=True)

    def _waiting(self, family: Family, chosen: set[UUID] | None) -> dict[UUID, UUID]:
        return self._members_in(family, chosen, [RunState.BLOCKED])

    def _edges_again(
        self, family: Family, members: dict[UUID, UUID], waiting: dict[UUID, UUID]
    ) -> list[Edge]:
        """Return the edges that do not hold, of members and of those that wait already."""
        before = {id_ for step in family.steps.values() for id_, _ in rules_of(step)}
        states: dict[UUID, str | None] = {**self.states_of(before)}
        states |= {id_: row.outcome for id_, row in family.workflows.items()}
        states |= dict.fromkeys(members, None)
        return [
            edge
            for run, workflow in (members | waiting).items()
            if (step := family.steps.get(run) or family.steps.get(workflow))
            for edge in edges_of(run, step)
            if not holds(edge, states.get(edge.after))
        ]

    def _write_again(
        self, ids: Iterable[UUID], states: Iterable[str], state: RunState, available_at: Any
    ) -> None:
        for some in chunks(sorted(ids)):
            rows = self._in(self.runs.filter(id__in=some), *states)
            rows.update(state=state, available_at=available_at, **AGAIN)


def is_being_deleted(row: Workflow) -> bool:
    """Return whether some of its members may be gone already."""
    return row.finished_at is not None and row.closed_at is None


def _prevents_retries(rows: Iterable[Workflow]) -> Workflow | None:
    """Return one of these that is being stopped, or deleted because it is too old."""
    for row in rows:
        if is_being_deleted(row) or (row.stopping_at and not row.finished_at):
            return row
    return None


RETRIED_AGAIN = (*UNSUCCESSFUL, RunState.SUCCESSFUL)


def edges_of(run: UUID, step: Step) -> list[Edge]:
    """Return the edges of a run that follows what this step follows."""
    return [
        Edge(run=run, after=before, any_end=rule == ANY_END, only_failed=rule == FAILURE)
        for before, rule in rules_of(step)
    ]


def rules_of(step: Step) -> list[tuple[UUID, str]]:
    """Return the ids of what this step follows, and how each of these is to end."""
    rules = []
    for entry in step.after:
        match entry:
            case [str(text), str(rule)]:
                try:
                    rules.append((UUID(text), rule))
                except ValueError:  # somebody else has written it
                    continue
    return rules
