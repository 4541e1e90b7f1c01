"""Cancel and retry a workflow for a person, through its own backend."""

from typing import Any, NamedTuple

from taskworks.actions.run_actions import Answer, Verdict, why_missing, why_not_now
from taskworks.exceptions import InvalidTaskBackend, WorkflowDoesNotExist
from taskworks.models import Workflow
from taskworks.options.tasks_setting import backend_of
from taskworks.store import store_for
from taskworks.workflows.workflow_result import WorkflowResult


class Retried(NamedTuple):
    """What a retry has done, and how many runs are executed again."""

    verdict: Verdict
    reason: str = ""
    runs: int = 0


def cancel(row: Workflow) -> Answer:
    """Cancel a workflow, or ask the workers that have its runs to stop these."""
    workflows = _workflows_of(row, "cancel")
    if isinstance(workflows, str):
        return Answer(Verdict.NOT_APPLICABLE, workflows)
    try:
        result: WorkflowResult = workflows.get(str(row.id))
        if not result.cancel():
            return Answer(Verdict.NOT_APPLICABLE, "It had finished before.")
    except WorkflowDoesNotExist:
        return Answer(Verdict.NOT_APPLICABLE, why_missing(row))
    return Answer(Verdict.CANCELLED if result.is_finished else Verdict.ASKED_TO_STOP)


def retry(row: Workflow, from_step: str | None = None, *, again: bool = False) -> Retried:
    """
    Execute runs of a workflow again that have failed or were cancelled, with ``again`` also the
    successful ones; with ``from_step`` only those of that step and of what follows it.

    Raise LookupError for an unknown step.
    """
    workflows = _workflows_of(row, "retry")
    if isinstance(workflows, str):
        return Retried(Verdict.NOT_APPLICABLE, workflows)
    try:
        result: WorkflowResult = workflows.get(str(row.id))
        if runs := result.retry(from_=from_step, again=again):
            return Retried(Verdict.RETRIED, runs=runs)
    except WorkflowDoesNotExist:
        return Retried(Verdict.NOT_APPLICABLE, why_missing(row))
    return Retried(Verdict.NOT_APPLICABLE, _why_nothing(row, from_step, again=again))


def _why_nothing(row: Workflow, from_step: str | None, *, again: bool) -> str:
    if reason := why_not_now(store_for(row.backend), row.id):
        return reason
    which = "of its runs" if from_step is None else f"of the runs from the step {from_step!r} on"
    return f"None {which} has {'ended' if again else 'failed or was cancelled'}."


def _workflows_of(row: Workflow, verb: str) -> Any:
    """Return what the workflow's backend can do, or why there is nothing that can do this."""
    try:
        backend = backend_of(row.backend)
    except InvalidTaskBackend as error:
        return f"Its backend is gone: {error} No other backend can {verb} it."
    if not hasattr(backend, "workflows"):
        name = type(backend).__name__
        return f"Its backend {row.backend!r}, a {name}, cannot {verb} workflows."
    return backend.workflows
