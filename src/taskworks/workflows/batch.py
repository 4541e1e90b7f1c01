"""``Batch``: many runs of any tasks, which are added one by one, and what follows them."""

from types import TracebackType
from typing import Any, Self
from uuid import UUID

from taskworks import framework
from taskworks.exceptions import InvalidWorkflow, WorkflowFinished
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS, task_backends
from taskworks.task_call import TaskCall
from taskworks.workflows.builder import Workflow, workflows_of
from taskworks.workflows.steps import Group, RunStep, Step, call_of
from taskworks.workflows.workflow_result import WorkflowResult

FLUSH_AT = 500  # calls, which are then stored together
JOBS, THEN, FAILED = "jobs", "then", "failed"


class Batch:
    """
    Runs that belong together, and what follows when all of them have ended. It is open while the
    ``with`` block lasts; runs begin meanwhile.

    ``then`` runs once all have succeeded, ``failed`` once all have ended and one has not; each is a
    task without arguments, or ``task.step(...)``. If the block raises, the batch is cancelled.
    """

    def __init__(
        self,
        name: str,
        *,
        then: "framework.Task | TaskCall | None" = None,
        failed: "framework.Task | TaskCall | None" = None,
        on_failure: str = "wait",
        metadata: dict[str, Any] | None = None,
        owner: Any = None,
        backend: str = DEFAULT_TASK_BACKEND_ALIAS,
    ) -> None:
        workflow = Workflow(name, on_failure=on_failure, metadata=metadata, owner=owner)
        jobs = Group(name=JOBS, calls=[], is_open=True)
        workflow.steps[JOBS] = jobs
        if then is not None:
            workflow.add(THEN, then, after=jobs)
        if failed is not None:
            call = call_of(f"Step {FAILED!r}", failed, (), {})
            step: Step = RunStep(name=FAILED, after=(jobs,), only_failed=True, call=call)
            workflow.steps[FAILED] = step
        self._workflow, self._backend = workflow, task_backends[backend]
        self._calls: list[TaskCall] = []
        self._result: WorkflowResult | None = None
        self._jobs: UUID | None = None

    @property
    def result(self) -> WorkflowResult:
        """The result of the batch, once the block has begun."""
        if self._result is None:
            raise InvalidWorkflow(f"The batch {self._workflow.name!r} has not begun: use `with`.")
        return self._result

    def add(self, task: "framework.Task | TaskCall", /, *args: Any, **kwargs: Any) -> None:
        """
        Add a run. Some are stored together, at the latest when the block ends.

        Raise InvalidWorkflow if it is not a task, and WorkflowFinished after the block.
        """
        if self._jobs is None:
            raise WorkflowFinished(
                f"The batch {self._workflow.name!r} is not open: add runs inside its `with` block."
            )
        self._calls.append(call_of("A run of a batch", task, args, kwargs))
        if len(self._calls) >= FLUSH_AT:
            self._flush()

    def __enter__(self) -> Self:
        workflows = workflows_of(self._backend)
        self._result, self._jobs = workflows.open_batch(self._workflow, JOBS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        jobs, self._jobs = self._jobs, None
        workflows = workflows_of(self._backend)
        if kind is None:
            try:
                self._flush_into(jobs)
            except BaseException:
                workflows.cancel(UUID(self.result.id))
                raise
            workflows.close(jobs)
        else:
            workflows.cancel_after_error(UUID(self.result.id))
        self.result.refresh()

    def _flush(self) -> None:
        self._flush_into(self._jobs)

    def _flush_into(self, jobs: UUID | None) -> None:
        calls, self._calls = self._calls, []
        if calls:
            workflows_of(self._backend).add_members(jobs, calls)
