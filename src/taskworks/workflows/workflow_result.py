"""``WorkflowResult``: a snapshot of a workflow, to await, cancel, retry and extend it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from asgiref.sync import sync_to_async

from taskworks import framework, polling
from taskworks.framework import task_backends
from taskworks.polling import Timeout
from taskworks.result import TaskResult
from taskworks.workflows.growth import added_group, added_step
from taskworks.workflows.steps import After

if TYPE_CHECKING:
    from taskworks.models import Workflow as Row
    from taskworks.task_call import TaskCall
    from taskworks.workflows.builder import Workflow


class WorkflowStatus(StrEnum):
    """How far a workflow is."""

    RUNNING = "running"
    STOPPING = "stopping"  # its members are being cancelled
    SUCCESSFUL = "successful"
    FAILED = "failed"  # it cannot go on: a member has failed
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """A step of a workflow: a run, or another workflow, which a group is as well."""

    name: str
    task_result: TaskResult[..., Any] | None = None
    workflow: "WorkflowResult | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowResult:
    """A snapshot of a workflow. Methods read and write the database each time."""

    id: str
    name: str
    backend: str
    status: WorkflowStatus = field(compare=False)
    created_at: datetime | None = field(compare=False)
    finished_at: datetime | None = field(compare=False)
    metadata: dict[str, Any] = field(compare=False)

    @property
    def is_finished(self) -> bool:
        """True if it has ended, so far as this snapshot knows."""
        return self.status not in (WorkflowStatus.RUNNING, WorkflowStatus.STOPPING)

    def refresh(self) -> None:
        """Read it again; raise WorkflowDoesNotExist if it is gone."""
        latest = self._workflows.get(self.id)
        for one in fields(self):
            object.__setattr__(self, one.name, getattr(latest, one.name))

    async def arefresh(self) -> None:
        """See refresh()."""
        await sync_to_async(self.refresh)()

    # Look.

    def counts(self) -> dict[str, int]:
        """
        Return how many of its runs are in each state, such as {"ready": 2, "successful": 98}, those
        of workflows within it included. States without runs are left out.
        """
        counted: dict[str, int] = self._workflows.counts(self._id)
        return counted

    async def acounts(self) -> dict[str, int]:
        """See counts()."""
        return await sync_to_async(self.counts)()

    def progress(self) -> float:
        """Return which part of its runs has ended, from 0.0 to 1.0; 1.0 if it has none."""
        counts = self.counts()
        ended = sum(counts.get(state, 0) for state in ("successful", "failed", "cancelled"))
        return ended / total if (total := sum(counts.values())) else 1.0

    async def aprogress(self) -> float:
        """See progress()."""
        return await sync_to_async(self.progress)()

    def steps(self) -> list[StepResult]:
        """Return its steps, in the order in which they were added."""
        steps: list[StepResult] = self._workflows.steps(self._id)
        return steps

    async def asteps(self) -> list[StepResult]:
        """See steps()."""
        return await sync_to_async(self.steps)()

    def step(self, name: str) -> StepResult:
        """Return the step with this name; raise LookupError if there is none."""
        step: StepResult = self._workflows.step(self._id, name)
        return step

    async def astep(self, name: str) -> StepResult:
        """See step()."""
        return await sync_to_async(self.step)(name)

    def result(self, name: str) -> Any:
        """
        Return what the step with this name has returned. Raise LookupError if there is none, or it
        is not a single run, ValueError if it has not succeeded.
        """
        return self._workflows.return_value(self._id, name)

    async def aresult(self, name: str) -> Any:
        """See result()."""
        return await sync_to_async(self.result)(name)

    def results(self, name: str) -> Iterator[Any]:
        """
        Yield what the successful runs of a group have returned, in the order of its items; a
        thousand are read at a time. Raise LookupError if there is no group with this name.
        """
        values: Iterator[Any] = self._workflows.return_values(self._id, name)
        return values

    def wait(self, timeout: Timeout = None) -> Self:
        """
        Wait until it has ended, and return this result, refreshed. Raise TimeoutError after
        ``timeout`` seconds, RuntimeError inside a transaction on the tables' database.
        """
        polling.wait_until(self._has_ended, timeout, self._overdue)
        return self

    async def await_(self, timeout: Timeout = None) -> Self:
        """See wait()."""
        await polling.await_until(self._has_ended, timeout, self._overdue)
        return self

    def _has_ended(self) -> bool:
        self._workflows.refuse_to_wait_in_a_transaction()
        self.refresh()
        return self.is_finished

    def _overdue(self, limit: str) -> str:
        return f"The workflow {self.name!r} {self.id} has not ended within {limit}."

    # Change.

    def cancel(self) -> bool:
        """
        Cancel the runs that wait, ask running ones to stop, and refresh this result. Return False
        if it had ended before. Steps with ``any_end`` still run, once the others have ended.
        """
        cancelled: bool = self._workflows.cancel(self._id)
        self.refresh()
        return cancelled

    async def acancel(self) -> bool:
        """See cancel()."""
        return await sync_to_async(self.cancel)()

    def retry(self, *, from_: str | None = None, again: bool = False) -> int:
        """
        Retry all runs that have failed or were cancelled, those of workflows within it included;
        return how many. What follows them waits for them again, and goes on once they succeed.

        ``from_`` names a step: then only that and what follows it. With ``again``, also the runs
        that were successful, whose steps and events are forgotten. While it is being cancelled,
        nothing is retried.

        Raise LookupError for an unknown step.
        """
        retried: int = self._workflows.retry(self._id, from_, again=again)
        self.refresh()
        return retried

    async def aretry(self, *, from_: str | None = None, again: bool = False) -> int:
        """See retry()."""
        return await sync_to_async(self.retry)(from_=from_, again=again)

    def close(self) -> bool:
        """
        Let a batch end that nobody closes, because the process that filled it died. Return False if
        it was closed before.
        """
        group = next((step.workflow for step in self.steps() if step.name == "jobs"), None)
        closed: bool = self._workflows.close(group._id if group else self._id)
        self.refresh()
        return closed

    # Grow.

    def add(
        self,
        name: str,
        task: "framework.Task | TaskCall | Workflow",
        /,
        *args: Any,
        after: After = None,
        any_end: bool = False,
        **kwargs: Any,
    ) -> StepResult:
        """
        Add a step while the workflow has not ended; see ``Workflow.add``. ``after`` has names of
        its steps. If it has a step of this name, that is returned, and nothing is added.

        Raise WorkflowFinished if it has ended or is being cancelled, InvalidWorkflow for an unknown
        step in ``after``.
        """
        step = added_step(name, task, args, kwargs, after=after, any_end=any_end)
        result: StepResult = self._workflows.add(self._id, step)
        return result

    async def aadd(self, *args: Any, **kwargs: Any) -> StepResult:
        """See add()."""
        return await sync_to_async(self.add)(*args, **kwargs)

    def each(
        self,
        name: str,
        task: framework.Task,
        items: Iterable[Any],
        /,
        *,
        after: After = None,
        any_end: bool = False,
    ) -> StepResult:
        """Add a group while the workflow has not ended; see add() and ``Workflow.each``."""
        group = added_group(name, task, items, after=after, any_end=any_end)
        result: StepResult = self._workflows.add(self._id, group)
        return result

    async def aeach(self, *args: Any, **kwargs: Any) -> StepResult:
        """See each()."""
        return await sync_to_async(self.each)(*args, **kwargs)

    @property
    def _id(self) -> UUID:
        return UUID(self.id)

    @property
    def _workflows(self) -> Any:
        backend: Any = task_backends[self.backend]
        return backend.workflows


def result_of_row(row: "Row") -> WorkflowResult:
    """Return the result of a workflow as its row is now."""
    return WorkflowResult(
        id=str(row.id),
        name=row.name,
        backend=row.backend,
        status=status_of_row(row),
        created_at=row.created_at,
        finished_at=row.finished_at,
        metadata=row.metadata,
    )


def status_of_row(row: "Row") -> WorkflowStatus:
    """Return how far a workflow is, in a word."""
    if row.outcome:
        return WorkflowStatus(row.outcome)
    return WorkflowStatus.STOPPING if row.stopping_at else WorkflowStatus.RUNNING
