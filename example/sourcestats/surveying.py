"""A survey is a workflow: a group with a run for each module, and a step that adds them up."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from django.db import transaction

from sourcestats.models import Survey
from sourcestats.summing import Summary
from sourcestats.tasks import measure_module, sum_up
from taskworks import Workflow, WorkflowResult
from taskworks.models import TaskRun
from taskworks.models.run import TaskRunQuerySet

MODULES, SUMMARY = "modules", "summary"  # the names of the steps


@dataclass(frozen=True)
class Progress:
    modules: int
    successful: int
    failed: int

    @property
    def finished(self) -> int:
        return self.successful + self.failed

    @property
    def is_over(self) -> bool:
        return self.finished == self.modules


@dataclass(frozen=True)
class Failure:
    path: str
    traceback: str

    @property
    def reason(self) -> str:
        return self.traceback.strip().rpartition("\n")[2]


def start(source: Path, owner: Any = None) -> Survey:
    """Enqueue all runs in one transaction with the survey, so that all exist or none."""
    with transaction.atomic():
        result = workflow_for(source, owner).enqueue()
        return Survey.objects.create(source=str(source), workflow_id=UUID(result.id))


def workflow_for(source: Path, owner: Any) -> Workflow:
    flow = Workflow("survey", owner=owner)
    items = [{"source": str(source), "path": path} for path in module_paths(source)]
    modules = flow.each(MODULES, measure_module, items)
    # Whatever becomes of them: a module that cannot be parsed is a failure of its own.
    flow.add(SUMMARY, sum_up, after=modules, any_end=True)
    return flow


def module_paths(source: Path) -> list[str]:
    return sorted(str(path.relative_to(source)) for path in source.rglob("*.py") if path.is_file())


def progress_of(workflow: WorkflowResult) -> Progress:
    counts = group_of(workflow).counts()
    return Progress(
        modules=sum(counts.values()),
        successful=counts.get("successful", 0),
        failed=counts.get("failed", 0),
    )


def group_of(workflow: WorkflowResult) -> WorkflowResult:
    return cast(WorkflowResult, workflow.step(MODULES).workflow)


def summary_of(workflow: WorkflowResult) -> Summary | None:
    run = summary_runs(workflow).successful().first()
    return run.return_value if run else None


def failures_of(workflow: WorkflowResult) -> list[Failure]:
    runs = TaskRun.objects.filter(workflow=group_of(workflow).id).failed()
    failures = [failure_of(run, run.kwargs["path"]) for run in runs]
    return sorted(failures, key=lambda failure: failure.path)


def summary_failure_of(workflow: WorkflowResult) -> Failure | None:
    run = summary_runs(workflow).failed().first()
    return failure_of(run, "the summary") if run else None


def summary_runs(workflow: WorkflowResult) -> TaskRunQuerySet:
    result = workflow.step(SUMMARY).task_result
    return TaskRun.objects.filter(id=result.id if result else None)


def failure_of(run: TaskRun, path: str) -> Failure:
    traceback = run.errors[-1]["traceback"] if run.errors else str(run)
    return Failure(path=path, traceback=traceback)
