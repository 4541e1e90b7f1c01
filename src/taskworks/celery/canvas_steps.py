"""The parts of a chain, group or chord as steps of a workflow, and as results of a stored one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from taskworks.celery.group_result import GroupResult
from taskworks.celery.result import AsyncResult
from taskworks.celery.values import ResultOf
from taskworks.task_call import TaskCall
from taskworks.workflows import Group, Step, Workflow, WorkflowResult
from taskworks.workflows.builder import free_name, workflows_of

Result = AsyncResult[Any] | GroupResult
Given = tuple[Sequence[Any], Mapping[str, Any]]

NOTHING: Given = ((), {})


@dataclass(frozen=True)
class Placed:
    """A part of a canvas that is in the workflow."""

    steps: tuple[Step, ...]  # of which what follows it is to be after
    returned: Any  # what stands for the results of these in arguments
    results: Callable[["_Stored"], Result]


@dataclass(frozen=True)
class _Stored:
    """A stored workflow, and its runs by their steps."""

    workflow: WorkflowResult
    runs: Mapping[str, Sequence[UUID]]


def placed_run(workflow: Workflow, task: str, call: TaskCall, before: Placed | None) -> Placed:
    """Add a run of the task with this name, after what is before it."""
    name = free_name(workflow, call.task.func.__name__)
    step = workflow.add(name, call, after=_after(before))

    def results(stored: _Stored) -> Result:
        return _result(stored, stored.runs[name][0], task, before)

    return Placed((step,), ResultOf(name), results)


def placed_side_by_side(members: Sequence[Placed], before: Placed | None) -> Placed:
    """Return as one what has been added after what is before all of it."""
    return Placed(
        tuple(step for member in members for step in member.steps),
        [member.returned for member in members],
        lambda stored: _group_result(stored, [m.results(stored) for m in members], before),
    )


def placed_group(
    workflow: Workflow, tasks: Sequence[str], calls: Sequence[TaskCall], before: Placed | None
) -> Placed:
    """Add a group of runs of one task, which the others follow as one."""
    name = free_name(workflow, "group")
    step = Group(name=name, after=tuple(_after(before)), calls=[*calls])
    workflow._added(step)

    def results(stored: _Stored) -> GroupResult:
        runs = [
            _result(stored, run, task, before)
            for run, task in zip(stored.runs[name], tasks, strict=True)
        ]
        return _group_result(stored, runs, before)

    return Placed((step,), ResultOf(name, several=True), results)


def _after(before: Placed | None) -> tuple[Step, ...]:
    return () if before is None else before.steps


def stored_result(workflow: Workflow, last: Placed) -> Result:
    """Store the workflow; return the result of what is last in it."""
    return last.results(_Stored(*workflows_of(workflow.backend).enqueue_with_runs(workflow)))


def _result(stored: _Stored, run: UUID, task: str, before: Placed | None) -> AsyncResult[Any]:
    result: AsyncResult[Any] = AsyncResult(run, task_name=task)
    result.parent = None if before is None else before.results(stored)
    result._workflow = stored.workflow
    return result


def _group_result(stored: _Stored, results: Sequence[Any], before: Placed | None) -> GroupResult:
    parent = None if before is None else before.results(stored)
    return GroupResult(stored.workflow.id, results, parent)
