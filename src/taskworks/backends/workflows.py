"""What ``DatabaseBackend`` does with workflows."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import DatabaseError, IntegrityError, transaction
from django.db.transaction import TransactionManagementError

from taskworks import instruments
from taskworks.backends.new_members import Planner, results_of
from taskworks.backends.transactions import (
    refuse_to_wait_in_a_transaction,
    transaction_to_await,
)
from taskworks.chunks import MAX_IDS_PER_QUERY, in_chunks
from taskworks.conf import nearest
from taskworks.exceptions import (
    InvalidWorkflow,
    TaskLost,
    WorkflowDoesNotExist,
    WorkflowFinished,
)
from taskworks.framework import BaseTaskBackend
from taskworks.signals import announce_enqueued
from taskworks.task_call import TaskCall
from taskworks.workflows.growth import Membership
from taskworks.workflows.steps import MAX_MEMBERS, Step
from taskworks.workflows.workflow_result import StepResult, WorkflowResult, result_of_row

if TYPE_CHECKING:
    from taskworks import models
    from taskworks.store import Store
    from taskworks.store.new_workflows import Claim
    from taskworks.workflows.builder import Workflow

RESULTS_AT_ONCE = 1000


class Workflows:
    """Enqueue workflows of a backend, and read and change stored ones."""

    def __init__(self, backend: BaseTaskBackend) -> None:
        self._backend = backend

    @property
    def _store(self) -> "Store":
        from taskworks.store import store

        return store(self._database)

    @property
    def _database(self) -> str:
        from taskworks.store import alias_for

        return alias_for(self._backend.alias)

    # Enqueue.

    def enqueue(self, workflow: "Workflow") -> WorkflowResult:
        """Store a workflow that was built; see ``Workflow.enqueue``."""
        return self.enqueue_with_runs(workflow)[0]

    def enqueue_with_runs(
        self, workflow: "Workflow"
    ) -> tuple[WorkflowResult, dict[str, list[UUID]]]:
        """Do the same; return the ids of the runs of each step, too, in their order."""
        planner = Planner(self._backend.alias)
        row = planner.plan(workflow)
        if alias := transaction_to_await(self._database, wanted=False):
            insert = partial(self._insert, planner)
            transaction.on_commit(instruments.here(insert), using=alias)
        else:
            self._insert(planner)
        return result_of_row(row), planner.runs_of(row.id)

    def _insert(self, planner: Planner) -> None:
        from taskworks.backends.workflow_ends import announce_end

        self._store.insert_members(planner.new)
        self._announce(planner)
        for row in planner.new.workflows:
            if row.outcome:
                announce_end(row)

    def _announce(self, planner: Planner) -> None:
        announce_enqueued(type(self._backend), results_of(planner.enqueued))

    # Grow.

    def add(self, workflow: UUID, step: Step, claim: "Claim | None" = None) -> StepResult:
        """
        Add a step to a stored workflow, unless that has a step of this name; return the step.

        Raise WorkflowFinished, InvalidWorkflow for what it cannot be after, and TaskLost if the run
        that adds it is another worker's by now.
        """
        try:
            self._add_once(workflow, step, claim)
        except IntegrityError:  # another session has added one of this name in this moment
            self._add_once(workflow, step, claim)
        return self.step(workflow, step.name)

    def _add_once(self, workflow: UUID, step: Step, claim: "Claim | None") -> None:
        store = self._store
        with self._adding_to(workflow, claim) as row:
            names = [one for one in step.after if isinstance(one, str)]
            stored = store.steps_named(workflow, [step.name, *names])
            if step.name in stored:
                return
            if missing := [name for name in names if name not in stored]:
                raise InvalidWorkflow(self._unknown(row, step.name, missing[0]))
            self._refuse_too_many(row, step.number)
            empty = store.empty_among([one.id for one in stored.values()])
            planner = Planner(row.backend, stored, empty)
            position = store.steps.filter(workflow=workflow).count()
            planner.plan_more([step], row, position)
            store.insert_members(planner.new)
        self._announce(planner)

    def add_members(
        self, group: UUID, calls: Sequence[TaskCall], claim: "Claim | None" = None
    ) -> None:
        """Add runs to a group that is open; raise as ``add``."""
        with self._adding_to(group, claim) as row:
            if row.closed_at:
                raise WorkflowFinished(
                    f"The batch {row.name!r} is closed: nothing can be added to it."
                )
            self._refuse_too_many(row, len(calls))
            planner = Planner(row.backend)
            planner.plan_members(calls, row, f"a run of {row.name!r}")
            self._store.insert_members(planner.new)
        self._announce(planner)

    def open_batch(self, workflow: "Workflow", jobs: str) -> tuple[WorkflowResult, UUID]:
        """Store a workflow at once; return its result, and the id of the group with this name."""
        if alias := transaction_to_await(self._database, wanted=False):
            raise InvalidWorkflow(
                f"A batch is stored as it is filled, and not when a transaction on {alias!r} "
                "commits. Open it outside of the transaction, or use a Workflow with each()."
            )
        planner = Planner(self._backend.alias)
        row = planner.plan(workflow)
        self._insert(planner)
        [group] = [one.id for one in planner.new.workflows if one.name == jobs and one.parent]
        return result_of_row(row), group

    def cancel_after_error(self, workflow: UUID) -> None:
        """Cancel a batch whose block has raised, unless its transaction is to be rolled back."""
        with suppress(DatabaseError, TransactionManagementError):
            self.cancel(workflow)

    def close(self, workflow: UUID) -> bool:
        """Write that a workflow gets no more members, and its end if it has ended."""
        from taskworks.backends.workflow_ends import end_workflows

        closed = self._store.close_workflow(workflow)
        end_workflows(self._store, [workflow])
        return closed

    def _adding_to(self, workflow: UUID, claim: "Claim | None") -> Any:
        return _Adding(self._store, workflow, claim)

    def _refuse_too_many(self, row: "models.Workflow", number: int) -> None:
        most = MAX_MEMBERS - number
        if most < 0 or self._store.members(row.id, at_most=most + 1) > most:
            raise InvalidWorkflow(
                f"The workflow {row.name!r} would have more than {MAX_MEMBERS:,} runs."
            )

    def _unknown(self, row: "models.Workflow", step: str, name: str) -> str:
        names = [*self._store.steps.filter(workflow=row.id).values_list("name", flat=True)]
        return (
            f"Step {step!r} is after {name!r}, which the workflow {row.name!r} does not have."
            f"{nearest(name, names)}"
        )

    # Read.

    def get(self, workflow_id: str) -> WorkflowResult:
        """Return the result of a workflow; raise WorkflowDoesNotExist."""
        return result_of_row(self.row(workflow_id))

    def row(self, workflow_id: "str | UUID") -> "models.Workflow":
        try:
            row = self._store.workflows.filter(id=UUID(str(workflow_id))).first()
        except ValueError:
            row = None
        if row is None:
            raise WorkflowDoesNotExist(f"There is no workflow {workflow_id!r}.")
        return row

    def counts(self, workflow: UUID) -> dict[str, int]:
        """Return how many runs are in each state, those of workflows within it included."""
        store = self._store
        ids = [workflow, *(child.id for child in store.within(workflow))]
        return {state.value: number for state, number in store.count_members(ids).items()}

    def step(self, workflow: UUID, name: str) -> StepResult:
        """Return a step; raise LookupError if there is none of this name."""
        return self._step_results([self._step(workflow, name)])[0]

    def steps(self, workflow: UUID) -> list[StepResult]:
        """Return the steps of a workflow, in the order in which they were added."""
        rows = self._store.steps.filter(workflow=workflow).order_by("position", "id")
        return self._step_results([*rows])

    def _step(self, workflow: UUID, name: str) -> "models.Step":
        steps = self._store.steps.filter(workflow=workflow)
        if step := steps.filter(name=name).first():
            return step
        names = [*steps.values_list("name", flat=True)[:RESULTS_AT_ONCE]]
        raise LookupError(f"The workflow has no step {name!r}.{nearest(str(name), names)}")

    def _step_results(self, steps: "list[models.Step]") -> list[StepResult]:
        parts = [*in_chunks([step.id for step in steps], MAX_IDS_PER_QUERY)]
        runs = {run.id: run for ids in parts for run in self._store.runs.filter(id__in=ids)}
        rows = {row.id: row for ids in parts for row in self._store.workflows.filter(id__in=ids)}
        return [
            StepResult(
                name=step.name,
                task_result=runs[step.id].to_result() if step.id in runs else None,
                workflow=result_of_row(rows[step.id]) if step.id in rows else None,
            )
            for step in steps
        ]

    def return_value(self, workflow: UUID, name: str) -> Any:
        """Return what a step has returned; raise LookupError, or ValueError if it has not."""
        from taskworks.models import RunState

        step = self._step(workflow, name)
        run = self._store.runs.filter(id=step.id).only("state", "return_value").first()
        if run is None:
            raise LookupError(f"The step {name!r} is not a single run: use results({name!r}).")
        if run.state != RunState.SUCCESSFUL:
            raise ValueError(f"The step {name!r} has not succeeded: it is {run.state}.")
        return run.return_value

    def return_values(self, workflow: UUID, name: str) -> Iterator[Any]:
        """
        Yield what the successful runs of a group have returned, in their order, reading a thousand
        at a time.
        """
        from taskworks.models import RunState

        group, last = self._step(workflow, name).id, None
        if not self._store.workflows.filter(id=group).exists():
            raise LookupError(f"The step {name!r} is a single run: use result({name!r}).")
        runs = self._store.runs.filter(workflow=group, state=RunState.SUCCESSFUL)
        rows = runs.order_by("id").values_list("id", "return_value")
        while some := [*(rows.filter(id__gt=last) if last else rows)[:RESULTS_AT_ONCE]]:
            yield from (value for _, value in some)
            last = some[-1][0]

    def membership(self, run: UUID, workflow: UUID, token: UUID | None) -> Membership:
        """Return what a run that is executed may know of its workflow, and do with it."""
        from taskworks.store.new_workflows import Claim

        return Membership(self, workflow, Claim(run, token) if token else None)

    def row_of_member(self, workflow: UUID) -> "models.Workflow":
        """Return the row of the workflow that has this group, or of the workflow itself."""
        from taskworks.models.workflow import Kind

        row = self.row(workflow)
        return self.row(row.parent) if row.kind == Kind.GROUP and row.parent else row

    def refuse_to_wait_in_a_transaction(self) -> None:
        refuse_to_wait_in_a_transaction(self._database, "a workflow")

    # Change.

    def cancel(self, workflow: UUID) -> bool:
        """Cancel a workflow; return False if it had finished before."""
        from taskworks.backends.workflow_ends import stop_workflow

        return stop_workflow(self._store, workflow) is not None

    def retry(self, workflow: UUID, from_step: str | None, *, again: bool) -> int:
        """Retry members; return how many. Raise LookupError for an unknown step."""
        from taskworks.store.workflow_retries import UnknownStep

        try:
            return self._store.retry_workflow(workflow, from_step, again=again)
        except UnknownStep as error:
            hint = nearest(str(from_step), [*error.names])
            raise LookupError(f"The workflow has no step {from_step!r}.{hint}") from None


class _Adding:
    """``Store.adding_to`` with the exceptions that users see."""

    def __init__(self, store: "Store", workflow: UUID, claim: "Claim | None") -> None:
        self._workflow, self._block = workflow, store.adding_to(workflow, claim)

    def __enter__(self) -> "models.Workflow":
        from taskworks.store.new_workflows import CannotGrow, ClaimLost

        try:
            return self._block.__enter__()
        except CannotGrow as error:
            if error.workflow is None:
                raise WorkflowDoesNotExist(f"There is no workflow {self._workflow}.") from None
            raise WorkflowFinished(_why_it_cannot_grow(error.workflow)) from None
        except ClaimLost:
            raise TaskLost(
                "Another worker executes this run by now, so this attempt adds nothing."
            ) from None

    def __exit__(self, *exception: Any) -> Any:
        return self._block.__exit__(*exception)


def _why_it_cannot_grow(row: "models.Workflow") -> str:
    if row.finished_at:
        return f"The workflow {row.name!r} has ended: nothing can be added to it."
    return f"The workflow {row.name!r} is being cancelled: nothing can be added to it."
