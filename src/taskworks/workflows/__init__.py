"""Several tasks, one result: workflows of named steps, groups, chains and batches."""

from taskworks.workflows.batch import Batch
from taskworks.workflows.builder import Workflow, chain
from taskworks.workflows.steps import Group, Step
from taskworks.workflows.workflow_result import StepResult, WorkflowResult, WorkflowStatus

__all__ = [
    "Batch",
    "Group",
    "Step",
    "StepResult",
    "Workflow",
    "WorkflowResult",
    "WorkflowStatus",
    "chain",
]
