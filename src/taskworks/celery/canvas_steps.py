"""A chain, group or chord as a workflow, and what its tasks are given of each other's results."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from taskworks.celery.canvas import NOTHING, Canvas, Given, Signature, chain, group
from taskworks.celery.group_result import GroupResult
from taskworks.celery.options import of_call
from taskworks.celery.result import AsyncResult
from taskworks.celery.values import ResultOf
from taskworks.task_call import TaskCall
from taskworks.workflows import Group, Step, Workflow, WorkflowResult
from taskworks.workflows.builder import free_name, workflows_of

Result = AsyncResult[Any] | GroupResult


@dataclass(frozen=True)
class _Placed:
    """A part of a canvas that is in the workflow."""

    steps: tuple[Step, ...]  # of which what follows it is to be after
    returned: Any  # what stands for the results of these in arguments
    results: Callable[["_Stored"], Result]


@dataclass(frozen=True)
class _Stored:
    """A stored workflow, and its runs by their steps."""

    workflow: WorkflowResult
    runs: Mapping[str, Sequence[UUID]]


def enqueued(canvas: Canvas, given: Given) -> Any:
    """Store a workflow of what is in the canvas; return the result of what is last in it."""
    workflow = Workflow(type(canvas).__name__)
    placed = _placed(canvas, workflow, None, given)
    stored = _Stored(*workflows_of(workflow.backend).enqueue_with_runs(workflow))
    return placed.results(stored)


def _placed(
    part: Canvas, workflow: Workflow, before: _Placed | None, given: Given = NOTHING
) -> _Placed:
    """Add a part to the workflow, after what is before it; return where it is."""
    match part:
        case Signature():
            return _one_run(part, workflow, before, given)
        case chain():
            return _one_after_another(part, workflow, before, given)
        case group() if _are_alike(part.tasks):
            return _group_of_runs(part, workflow, before, given)
        case group():
            return _side_by_side(part, workflow, before, given)
    raise TypeError(f"{part!r} cannot be a part of a workflow.")


def _one_run(
    part: Signature[Any], workflow: Workflow, before: _Placed | None, given: Given
) -> _Placed:
    name = free_name(workflow, part.type.func.__name__)
    step = workflow.add(name, _call(part, before, given), after=_after(before))

    def results(stored: _Stored) -> Result:
        return _result(stored, stored.runs[name][0], part, before)

    return _Placed((step,), ResultOf(name), results)


def _one_after_another(
    part: chain, workflow: Workflow, before: _Placed | None, given: Given
) -> _Placed:
    placed = _placed(part.tasks[0], workflow, before, given)
    for one in part.tasks[1:]:
        placed = _placed(one, workflow, placed)
    return placed


def _side_by_side(part: group, workflow: Workflow, before: _Placed | None, given: Given) -> _Placed:
    members = [_placed(one, workflow, before, given) for one in part.tasks]
    return _Placed(
        tuple(step for member in members for step in member.steps),
        [member.returned for member in members],
        lambda stored: _group_result(stored, [m.results(stored) for m in members], before),
    )


def _group_of_runs(
    part: group, workflow: Workflow, before: _Placed | None, given: Given
) -> _Placed:
    """Add a group of runs of one task, which the others follow as one."""
    name = free_name(workflow, "group")
    calls = [_call(one, before, given) for one in part._signatures()]
    step = Group(name=name, after=tuple(_after(before)), calls=calls)
    workflow._added(step)

    def results(stored: _Stored) -> GroupResult:
        runs = [
            _result(stored, run, one, before)
            for run, one in zip(stored.runs[name], part.tasks, strict=True)
        ]
        return _group_result(stored, runs, before)

    return _Placed((step,), ResultOf(name, several=True), results)


def _are_alike(parts: Sequence[Canvas]) -> bool:
    """Whether these are runs of one task with the same options, or there are none."""
    return all(isinstance(one, Signature) for one in parts) and all(
        one.type is parts[0].type and one.options == parts[0].options  # type: ignore[attr-defined]
        for one in parts
    )


def _call(part: Signature[Any], before: _Placed | None, given: Given) -> TaskCall:
    """Return the task with its arguments, the first of which may stand for a result."""
    task = part.type
    more: Given = NOTHING if before is None else ((before.returned,), {})
    args, kwargs = part._with(given if before is None else more)
    args, kwargs = task._fitting(args, kwargs)
    changes = of_call(task.name, part.options, task.expires)
    return (task.using(**changes) if changes else task).step(*args, **kwargs)


def _after(before: _Placed | None) -> tuple[Step, ...]:
    return () if before is None else before.steps


def _result(
    stored: _Stored, run: UUID, part: Signature[Any], before: _Placed | None
) -> AsyncResult[Any]:
    result: AsyncResult[Any] = AsyncResult(run, task_name=part.task)
    result.parent = None if before is None else before.results(stored)
    result._workflow = stored.workflow
    return result


def _group_result(stored: _Stored, results: Sequence[Any], before: _Placed | None) -> GroupResult:
    parent = None if before is None else before.results(stored)
    return GroupResult(stored.workflow.id, results, parent)
