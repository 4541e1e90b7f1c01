"""Workflows as people see them: how far each one is, and its steps."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from taskworks.actions.step_waits import WaitsOfSteps
from taskworks.models import RunState, Step, TaskRun, Workflow
from taskworks.models.run import FINISHED
from taskworks.models.workflow import Kind
from taskworks.store import Store
from taskworks.store.statements import chunks
from taskworks.store.workflow_retries import rules_of
from taskworks.workflows.workflow_result import WorkflowStatus, status_of_row

MAX_STEPS_SHOWN = 500  # of a workflow, with those of workflows within it
# What the page of a step needs; other columns may be large.
RUN_COLUMNS = (
    "id",
    "backend",
    "state",
    "task_path",
    "callable_path",
    "limit_name",
    "available_at",
    "missing_since",
    "claimed_at",
    "started_at",
    "finished_at",
)
RUN, GROUP, WORKFLOW, GONE = "run", "group", "workflow", "gone"

Counts = Mapping[str, int]  # how many runs are in each state


class Progress(NamedTuple):
    """How many runs there are, those of workflows within it included, and how many have ended."""

    ended: int
    total: int

    @property
    def percent(self) -> float:
        """From 0.0 to 100.0, rounded to tenths; less than 100.0 until all have ended."""
        if self.ended >= self.total:
            return 100.0
        return min(99.9, round(100 * self.ended / self.total, 1))

    @property
    def in_words(self) -> str:
        """Such as "12 of 30"."""
        return f"{self.ended} of {self.total}"


def progress_of(counts: Counts) -> Progress:
    """Return the progress of a workflow whose runs are in these states."""
    return Progress(sum(counts.get(state, 0) for state in FINISHED), sum(counts.values()))


@dataclass(frozen=True)
class StepShown:
    """A step of a workflow. ``depth`` is 0 for the workflow's own, 1 for those within one."""

    id: UUID
    name: str
    workflow: UUID
    depth: int
    kind: str  # run, group, workflow; gone if it was deleted
    state: str | None  # of the run; or running, stopping, successful, failed or cancelled
    counts: Counts | None = None  # of a group or workflow
    task_path: str | None = None  # of a run
    after: Sequence[tuple[UUID, str]] = ()  # the ids of what it follows, and how that is to end
    names_before: Sequence[str] = ()  # of what it follows
    started_at: datetime | None = None
    finished_at: datetime | None = None
    waits_for: str | None = None  # in a sentence

    @property
    def progress(self) -> Progress | None:
        """How far a group or workflow is; None of a run."""
        return None if self.counts is None else progress_of(self.counts)


@dataclass(frozen=True)
class WorkflowShown:
    """A workflow, and its first steps in the order of a list that is indented by ``depth``."""

    row: Workflow
    counts: Counts
    steps: Sequence[StepShown] = field(default_factory=list)
    has_more: bool = False  # whether it has more steps than are shown

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return progress_of(self.counts)

    @property
    def note(self) -> str | None:
        """A sentence, if not all steps are shown."""
        if not self.has_more:
            return None
        return f"It has more than {MAX_STEPS_SHOWN} steps. These are the first {MAX_STEPS_SHOWN}."


def lookups_of(status: WorkflowStatus) -> dict[str, Any]:
    """Return the lookups that find the workflows in this status."""
    match status:
        case WorkflowStatus.RUNNING:
            return {"finished_at": None, "stopping_at": None}
        case WorkflowStatus.STOPPING:
            return {"finished_at": None, "stopping_at__isnull": False}
        case _:
            return {"outcome": status.value}


# Several workflows.


def counts_of(store: Store, rows: Iterable[Workflow]) -> dict[UUID, Counts]:
    """
    Return how many runs of each of these workflows are in each state, those of workflows within it
    included: a query for each level, and one that counts.
    """
    roots = {row.id: row.id for row in rows}
    for child in _within(store, [*roots]):
        if child.parent in roots:
            roots[child.id] = roots[child.parent]
    counted: dict[UUID, dict[str, int]] = {root: {} for root in roots.values()}
    for workflow, states in store.counts_by_workflow([*roots]).items():
        _add(counted[roots[workflow]], states)
    return {**counted}


def counts_of_unfinished(store: Store, rows: Sequence[Workflow]) -> dict[UUID, Counts]:
    """Return the counts of those of these workflows that have not ended: others can be large."""
    return counts_of(store, [row for row in rows if row.finished_at is None])


def _within(store: Store, workflows: Sequence[UUID]) -> Iterator[Workflow]:
    """Yield the workflows within these, those that are nearer first."""
    parents = [*workflows]
    while parents:
        some = [
            child
            for few in chunks(parents)
            for child in store.workflows.filter(parent__in=few).only("id", "kind", "parent")
        ]
        yield from some
        parents = [child.id for child in some if child.kind == Kind.STEPS]


def _add(counts: dict[str, int], more: Counts) -> None:
    for state, number in more.items():
        counts[state] = counts.get(state, 0) + number


# One workflow.


def shown(store: Store, row: Workflow) -> WorkflowShown:
    """Return a workflow with its steps. The number of queries does not grow with the steps."""
    within = {child.id: child for child in store.within(row.id)}
    counts = _counts_of_all(store, row, within)
    steps, has_more = _first_steps(store, row, within)
    runs = _runs(store, [step.id for step in steps if step.id not in within])
    read = _Read(within, runs, counts)
    listed = [read.step(step, depth) for step, depth in _indented(row.id, steps)]
    waits = WaitsOfSteps(store, runs, within, {step.id: step.name for step in listed})
    in_words = [_with_words(step, waits, runs) for step in listed]
    return WorkflowShown(row, counts[row.id], in_words, has_more)


def _counts_of_all(
    store: Store, row: Workflow, within: Mapping[UUID, Workflow]
) -> dict[UUID, dict[str, int]]:
    """Return the counts of a workflow and of those within it, each with those within that."""
    counts: dict[UUID, dict[str, int]] = {row.id: {}, **{id_: {} for id_ in within}}
    for workflow, states in store.counts_by_workflow([*counts]).items():
        _add(counts[workflow], states)
    for child in reversed([*within.values()]):  # the inner ones first
        if child.parent in counts:
            _add(counts[child.parent], counts[child.id])
    return counts


def _first_steps(
    store: Store, row: Workflow, within: Mapping[UUID, Workflow]
) -> tuple[list[Step], bool]:
    """Return the first steps, level by level, and whether there are more."""
    found: list[Step] = []
    workflows, most = [row.id], MAX_STEPS_SHOWN + 1
    while workflows and len(found) < most:
        level: list[Step] = []
        for some in chunks(workflows):
            steps = store.steps.filter(workflow__in=some).order_by("workflow", "position", "id")
            level += steps[: most - len(found) - len(level)]
        found += level
        workflows = [
            step.id for step in level if step.id in within and within[step.id].kind == Kind.STEPS
        ]
    return found[:MAX_STEPS_SHOWN], len(found) > MAX_STEPS_SHOWN


def _runs(store: Store, ids: Sequence[UUID]) -> dict[UUID, TaskRun]:
    rows = (store.runs.filter(id__in=some).only(*RUN_COLUMNS) for some in chunks(ids))
    return {run.id: run for some in rows for run in some}


def _indented(workflow: UUID, steps: Sequence[Step]) -> Iterator[tuple[Step, int]]:
    """Yield the steps, those within a step after it, and how deep each is."""
    by_workflow: dict[UUID, list[Step]] = {}
    for step in steps:
        by_workflow.setdefault(step.workflow, []).append(step)
    remaining = [(step, 0) for step in reversed(by_workflow.pop(workflow, []))]
    while remaining:
        step, depth = remaining.pop()
        yield step, depth
        inner = by_workflow.pop(step.id, [])
        remaining += [(one, depth + 1) for one in reversed(inner)]


class _Read(NamedTuple):
    """What was read of the steps."""

    within: Mapping[UUID, Workflow]
    runs: Mapping[UUID, TaskRun]
    counts: Mapping[UUID, Counts]

    def step(self, step: Step, depth: int) -> StepShown:
        make: Callable[..., StepShown] = StepShown
        common: dict[str, Any] = {
            "id": step.id,
            "name": step.name,
            "workflow": step.workflow,
            "depth": depth,
            "after": rules_of(step),
        }
        if run := self.runs.get(step.id):
            return make(
                kind=RUN,
                state=run.state,
                task_path=run.called_path,
                started_at=run.started_at,
                finished_at=run.finished_at,
                **common,
            )
        if row := self.within.get(step.id):
            counts = self.counts.get(step.id, {})
            return make(
                kind=GROUP if row.kind == Kind.GROUP else WORKFLOW,
                state=_state_of(row, counts),
                counts=counts,
                finished_at=row.finished_at,
                **common,
            )
        return make(kind=GONE, state=None, **common)


def _state_of(row: Workflow, counts: Counts) -> str:
    """Return the status of a group or workflow that is a step; blocked if it has not begun."""
    status = status_of_row(row)
    all_wait = bool(counts) and counts.get(RunState.BLOCKED, 0) == sum(counts.values())
    is_waiting = status is WorkflowStatus.RUNNING and all_wait
    return RunState.BLOCKED.value if is_waiting else status.value


def _with_words(step: StepShown, waits: WaitsOfSteps, runs: Mapping[UUID, TaskRun]) -> StepShown:
    return StepShown(
        **{
            **step.__dict__,
            "names_before": [waits.name_of(before) for before, _ in step.after],
            "waits_for": waits.in_words(step.state, step.after, runs.get(step.id)),
        }
    )
