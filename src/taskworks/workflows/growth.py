"""Steps that are added to a workflow that is stored, and what a member knows of its workflow."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import UUID

from asgiref.sync import sync_to_async

from taskworks import framework
from taskworks.exceptions import InvalidWorkflow
from taskworks.workflows.steps import (
    MAX_PREDECESSORS,
    After,
    Group,
    NestedStep,
    RunStep,
    Step,
    call_of,
    calls_of,
    validated_name,
)

if TYPE_CHECKING:
    from taskworks.task_call import TaskCall
    from taskworks.workflows.builder import Workflow
    from taskworks.workflows.workflow_result import StepResult, WorkflowResult


class Membership:
    """
    The workflow of the run that is being executed: ``context.workflow``. For a run of a group, that
    is the workflow that the group is a step of.

    What a run adds is added once, however often it is attempted, because steps are known by their
    names; and not by an attempt whose run another worker has by now.
    """

    def __init__(self, workflows: Any, member_of: UUID, claim: Any) -> None:
        self._workflows, self._member_of, self._claim = workflows, member_of, claim

    @cached_property
    def _row(self) -> Any:
        """Read when it is first needed, so that a coroutine function may ask for this object."""
        return self._workflows.row_of_member(self._member_of)

    @property
    def _id(self) -> UUID:
        workflow: UUID = self._row.id
        return workflow

    @property
    def id(self) -> str:
        """Its id, as text."""
        return str(self._id)

    @property
    def name(self) -> str:
        """Its name."""
        return str(self._row.name)

    @property
    def metadata(self) -> dict[str, Any]:
        """What it was given as ``metadata``."""
        given: dict[str, Any] = self._row.metadata
        return given

    def result(self, step: str) -> Any:
        """
        Return what a step has returned, read from the database now. Raise LookupError if there is
        none of this name, or it is not a single run, ValueError if it has not succeeded.
        """
        return self._workflows.return_value(self._id, step)

    async def aresult(self, step: str) -> Any:
        """See result()."""
        return await sync_to_async(self.result)(step)

    def results(self, group: str) -> Iterator[Any]:
        """
        Yield what the successful runs of a group have returned, in the order of its items; a
        thousand are read at a time. Raise LookupError if there is no group of this name.
        """
        values: Iterator[Any] = self._workflows.return_values(self._id, group)
        return values

    async def aresults(self, group: str) -> list[Any]:
        """Return the list of what results() yields."""
        return await sync_to_async(lambda: [*self.results(group)])()

    def add(
        self,
        name: str,
        task: "framework.Task | TaskCall | Workflow",
        /,
        *args: Any,
        after: After = None,
        any_end: bool = False,
        **kwargs: Any,
    ) -> "StepResult":
        """Add a step to the workflow; see ``WorkflowResult.add``."""
        step = added_step(name, task, args, kwargs, after=after, any_end=any_end)
        result: StepResult = self._workflows.add(self._id, step, self._claim)
        return result

    async def aadd(self, *args: Any, **kwargs: Any) -> "StepResult":
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
    ) -> "StepResult":
        """Add a group to the workflow; see ``WorkflowResult.each``."""
        group = added_group(name, task, items, after=after, any_end=any_end)
        result: StepResult = self._workflows.add(self._id, group, self._claim)
        return result

    async def aeach(self, *args: Any, **kwargs: Any) -> "StepResult":
        """See each()."""
        return await sync_to_async(self.each)(*args, **kwargs)

    def get_result(self) -> "WorkflowResult":
        """Return the result of the workflow as it is now."""
        result: WorkflowResult = self._workflows.get(self.id)
        return result

    async def aget_result(self) -> "WorkflowResult":
        """See get_result()."""
        return await sync_to_async(self.get_result)()


def added_step(
    name: str,
    task: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    after: After,
    any_end: bool,
) -> Step:
    """Return a step for a stored workflow; raise InvalidWorkflow."""
    from taskworks.workflows.builder import Workflow

    options: dict[str, Any] = {"name": validated_name(name, "step"), "any_end": any_end}
    before = _names(name, after)
    if isinstance(task, Workflow):
        if args or kwargs:
            raise InvalidWorkflow(f"Step {name!r} is a workflow, which takes no arguments.")
        return NestedStep(**options, after=before, workflow=task)
    call = call_of(f"Step {name!r}", task, args, kwargs)
    return RunStep(**options, after=before, call=call)


def added_group(
    name: str, task: framework.Task, items: Iterable[Any], *, after: After, any_end: bool
) -> Group:
    """Return a group for a stored workflow; raise InvalidWorkflow."""
    return Group(
        name=validated_name(name, "step"),
        after=_names(name, after),
        any_end=any_end,
        calls=calls_of(f"group {name!r}", task, items),
    )


def _names(name: str, after: Any) -> tuple[str, ...]:
    listed = [after] if isinstance(after, str) or not isinstance(after, Iterable) else [*after]
    names = [getattr(one, "name", one) for one in listed if one is not None]
    if odd := [one for one in names if not isinstance(one, str)]:
        raise InvalidWorkflow(f"Step {name!r} can only be after names of steps, not {odd[0]!r}.")
    if len(names) > MAX_PREDECESSORS:
        raise InvalidWorkflow(
            f"Step {name!r} is after {len(names):,} others, and may be after at most "
            f"{MAX_PREDECESSORS:,}. Put them into a group, which is one."
        )
    return tuple(dict.fromkeys(names))
