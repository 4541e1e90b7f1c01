"""What is to be stored of a workflow that was built, or of a step that is added to one."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from taskworks.definition import Task
from taskworks.exceptions import InvalidTask, InvalidWorkflow
from taskworks.reserved_metadata import OF_GROUP, OF_WORKFLOW
from taskworks.task_call import TaskCall
from taskworks.workflows.steps import (
    MAX_DEPTH,
    MAX_EDGES,
    MAX_STEPS,
    Group,
    NestedStep,
    RunStep,
    Step,
    too_many,
)

if TYPE_CHECKING:
    from taskworks import models
    from taskworks.store.new_runs import NewRuns
    from taskworks.workflows.builder import Workflow

Rules = Mapping[UUID, str]  # how what a step follows is to end, by id
Key = tuple[UUID, Step]  # a workflow may be in another one twice, and its steps with it
Alike = tuple[Any, UUID]  # a task, or its id() if it cannot be hashed, and the workflow


class Place(NamedTuple):
    """Where a run is among those that are alike."""

    alike: Alike
    number: int


class Planner:
    """
    Gives ids to the runs, steps and workflows of what was built, and finds out who waits for whom.

    ``stored`` are the steps that the workflow has already, by name; those whose ids are in
    ``empty`` are workflows without members.
    """

    def __init__(
        self,
        backend: str,
        stored: "Mapping[str, models.Step] | None" = None,
        empty: Collection[UUID] = (),
    ) -> None:
        from taskworks.store.new_workflows import NewMembers

        self.new: NewMembers = NewMembers()
        self.enqueued: list[tuple[NewRuns, Task[..., Any]]] = []
        self._backend, self._stored, self._empty = backend, stored or {}, empty
        self._calls: dict[Alike, list[tuple[str, TaskCall]]] = defaultdict(list)
        self._members: dict[UUID, list[UUID]] = defaultdict(list)  # runs by their workflows
        self._places: dict[Key, Place] = {}
        self._rows: dict[Key, models.Workflow] = {}
        self._ids: dict[Key, UUID] = {}
        self._into: dict[UUID, models.Workflow] = {}  # what gets members, by its id
        self._number = 0

    def plan(self, workflow: "Workflow") -> "models.Workflow":
        """Plan a workflow that is in no other; return its row."""
        row = self._new_row(workflow)
        self._place_steps(workflow.steps.values(), row)
        self._make_runs()
        self._follow(workflow.steps.values(), row.id, {})
        self._note_if_empty(row, workflow.steps.values())
        return row

    def plan_more(self, steps: Iterable[Step], row: "models.Workflow", first_position: int) -> None:
        """Plan steps that are added to a workflow that is stored."""
        self._into[row.id] = row
        self._place_steps(steps, row)
        self._make_runs()
        self._follow(steps, row.id, {}, first_position)

    def plan_members(self, calls: Iterable[TaskCall], row: "models.Workflow", place: str) -> None:
        """Plan runs that are added to a group that is stored."""
        self._into[row.id] = row
        for call in calls:
            self._place(place, call, row.id)
        self._make_runs()

    def runs_of(self, workflow: UUID) -> dict[str, list[UUID]]:
        """
        Return the ids of the runs of each step of a planned workflow, by the steps' names. Those of
        a group are in the order of its items if these are of one task.
        """
        groups = {row.id for row in self.new.workflows}
        return {
            step.name: [*self._members[step.id]] if step.id in groups else [step.id]
            for step in self.new.steps
            if step.workflow == workflow
        }

    # Workflows.

    def _new_row(
        self, workflow: "Workflow", parent: "models.Workflow | None" = None, name: str = ""
    ) -> "models.Workflow":
        from taskworks.models import Workflow as Row

        depth = parent.depth + 1 if parent else 1
        if depth > MAX_DEPTH:
            raise InvalidWorkflow(
                f"Workflow {workflow.name!r} would be {depth} levels deep in others. At most "
                f"{MAX_DEPTH} levels are possible."
            )
        return self._added(
            Row(
                name=name or workflow.name,
                backend=self._backend,
                parent=parent.id if parent else None,
                depth=depth,
                on_failure=workflow.on_failure,
                owner=workflow.owner or (parent.owner if parent else None),
                metadata=workflow.metadata,
                closed_at=NOW,
            )
        )

    def _new_group(self, group: Group, parent: "models.Workflow") -> "models.Workflow":
        from taskworks.models import Workflow as Row
        from taskworks.models.workflow import Kind

        return self._added(
            Row(
                kind=Kind.GROUP,
                name=group.name,
                backend=self._backend,
                parent=parent.id,
                depth=parent.depth,
                on_failure=parent.on_failure,
                owner=parent.owner,
                closed_at=None if group.is_open else NOW,
            )
        )

    def _added(self, row: "models.Workflow") -> "models.Workflow":
        self.new.workflows.append(row)
        self._into[row.id] = row
        return row

    # Runs.

    def _place_steps(self, steps: Iterable[Step], row: "models.Workflow") -> None:
        for step in steps:
            key, what = (row.id, step), f"step {step.name!r}"
            match step:
                case RunStep():
                    self._places[key] = self._place(what, step.call, row.id)
                case Group():
                    self._rows[key] = group = self._new_group(step, row)
                    self._ids[key] = group.id
                    for index, call in enumerate(step.calls):
                        self._place(f"item {index} of {what}", call, group.id)
                    self._note_if_empty(group, [step])
                case NestedStep():
                    self._rows[key] = nested = self._new_row(step.workflow, row, step.name)
                    self._ids[key] = nested.id
                    self._place_steps(step.workflow.steps.values(), nested)
                    self._note_if_empty(nested, step.workflow.steps.values())

    def _place(self, what: str, call: TaskCall, workflow: UUID) -> Place:
        self._number += 1
        if self._number > MAX_STEPS:
            raise too_many("What is enqueued")
        alike = (_hashable(call.task), workflow)
        self._calls[alike].append((what, call))
        return Place(alike, len(self._calls[alike]) - 1)

    def _make_runs(self) -> None:
        ids = {}
        for alike, calls in self._calls.items():
            new = self._new_runs(alike[1], calls)
            self.new.runs.append(new)
            ids[alike] = new.uuids
            self._members[alike[1]] += new.uuids
        for key, place in self._places.items():
            self._ids[key] = ids[place.alike][place.number]

    def _new_runs(self, workflow: UUID, calls: list[tuple[str, TaskCall]]) -> "NewRuns":
        """Return new runs of one task."""
        from taskworks.models.workflow import Kind
        from taskworks.store.new_runs import Template

        place, task = calls[0][0], calls[0][1].task
        _refuse_as_member(task, place, self._backend)
        backend: Any = task.get_backend()
        names = [f"{what}: " for what, _ in calls]
        try:
            new: NewRuns = backend.new_runs(
                task, [(call.args, call.kwargs) for _, call in calls], names=names
            )
        except InvalidTask as error:
            raise InvalidWorkflow(f"{place}: {error}") from error
        columns, row = new.template.columns, self._into[workflow]
        key = OF_GROUP if row.kind == Kind.GROUP else OF_WORKFLOW
        new.template = Template(
            {
                **columns,
                "owner": columns["owner"] or row.owner,
                "metadata": {**columns["metadata"], key: workflow.hex},
                "workflow": workflow,
            },
            new.template.policy,
            new.template.limit,
        )
        self.enqueued.append((new, task))
        return new

    # Edges.

    def _follow(
        self, steps: Iterable[Step], workflow: UUID, inherited: Rules, position: int = 0
    ) -> None:
        """Note what each of these steps follows; first ones follow what their workflow does."""
        from taskworks.models import Step as Row

        for place, step in enumerate(steps, position):
            rules, id_ = self._rules(workflow, step) or inherited, self._ids[workflow, step]
            self.new.steps.append(
                Row(
                    id=id_,
                    workflow=workflow,
                    name=step.name,
                    position=place,
                    after=[[before.hex, rule] for before, rule in rules.items()],
                    always=step.any_end or step.only_failed,
                )
            )
            if rules:
                _refuse_fixed_time(step)
            match step:
                case RunStep():
                    self._add_edges([id_], self.new.steps[-1])
                case Group():
                    self._add_edges(self._members[id_], self.new.steps[-1])
                case NestedStep():
                    self._follow(step.workflow.steps.values(), id_, rules)

    def _rules(self, workflow: UUID, step: Step) -> Rules:
        """Return what a step follows. In place of what is empty, that is what this follows."""
        rules: dict[UUID, str] = {}
        for before in step.after:
            if isinstance(before, str):
                rules |= self._rules_after_stored(step, before)
            elif (row := self._rows.get((workflow, before))) and row.outcome:
                rules |= _passed_on(step, self._rules(workflow, before))
            else:
                rules[self._ids[workflow, before]] = step.rule
        return rules

    def _rules_after_stored(self, step: Step, name: str) -> Rules:
        from taskworks.store.workflow_retries import rules_of

        if name not in self._stored:
            raise InvalidWorkflow(
                f"Step {step.name!r} is after {name!r}, which the workflow does not have."
            )
        before = self._stored[name]
        if before.id in self._empty:
            return _passed_on(step, dict(rules_of(before)))
        return {before.id: step.rule}

    def _add_edges(self, runs: Iterable[UUID], step: "models.Step") -> None:
        from taskworks.store.workflow_retries import edges_of

        for run in runs:
            self.new.edges += edges_of(run, step)
            if len(self.new.edges) > MAX_EDGES:
                raise InvalidWorkflow(
                    f"Up to step {step.name!r}, more than {MAX_EDGES:,} times one run is after "
                    "another. Put those that many others follow into a group, or a step between."
                )

    def _note_if_empty(self, row: "models.Workflow", steps: Iterable[Step]) -> None:
        if row.closed_at and not any(map(_has_members, steps)):
            row.outcome = SUCCESSFUL


SUCCESSFUL = "successful"
NOW: Any = True  # the store puts the database's time in its place


def _passed_on(step: Step, rules: Rules) -> Rules:
    """Return the rules for a step after something empty, which follows others by these rules."""
    return {id_: step.rule if step.any_end else rule for id_, rule in rules.items()}


def _has_members(step: Step) -> bool:
    return step.number > 0 or (isinstance(step, Group) and step.is_open)


def _refuse_as_member(task: Task[..., Any], place: str, backend: str) -> None:
    from taskworks.store import alias_for

    if not hasattr(task.get_backend(), "workflows"):
        raise InvalidWorkflow(
            f"{place}: the backend {task.backend!r} stores no runs, so its tasks cannot be steps."
        )
    if (theirs := alias_for(task.backend)) != (ours := alias_for(backend)):
        raise InvalidWorkflow(
            f"{place}: the runs of the backend {task.backend!r} are in the database {theirs!r}, "
            f"and the workflow is in {ours!r}, where its backend {backend!r} has its runs. All of "
            "a workflow is in one database."
        )
    if getattr(task, "unique", None):
        raise InvalidWorkflow(
            f"{place}: {task.name} is unique, so another run could stand for it, which would not "
            "belong to the workflow. Define a task without unique=, or have a unique task enqueue "
            "the workflow."
        )


def _refuse_fixed_time(step: Step) -> None:
    calls = step.calls if isinstance(step, Group) else []
    calls = [step.call] if isinstance(step, RunStep) else calls
    if any(isinstance(call.task.run_after, datetime) for call in calls):
        raise InvalidWorkflow(
            f"Step {step.name!r} follows others, so its run_after must be a timedelta, which "
            "counts from when it need not wait for them any more."
        )


def _hashable(task: Task[..., Any]) -> Any:
    try:
        hash(task)
    except TypeError:  # an option is not hashable
        return id(task)
    return task


def results_of(new: "Iterable[tuple[NewRuns, Task[..., Any]]]") -> Iterator[Any]:
    """Yield the results of stored runs."""
    for runs, task in new:
        for index in range(len(runs)):
            yield runs.result(index, task)
