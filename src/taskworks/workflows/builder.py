"""``Workflow`` and ``chain``: steps, and what each of them follows; then all are enqueued."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

from taskworks import framework
from taskworks.conf import nearest
from taskworks.exceptions import InvalidWorkflow
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS, task_backends
from taskworks.options.owner import owner_of
from taskworks.reserved_metadata import refuse_reserved
from taskworks.task_call import TaskCall
from taskworks.workflows.steps import (
    MAX_DEPTH,
    MAX_PREDECESSORS,
    MAX_STEPS,
    After,
    Group,
    NestedStep,
    RunStep,
    Step,
    call_of,
    calls_of,
    too_many,
    validated_name,
)

if TYPE_CHECKING:
    from taskworks.workflows.workflow_result import WorkflowResult

WAIT, STOP = "wait", "stop"


class Workflow:
    """
    Runs that belong together, each a step that may follow others. Nothing is written before
    ``enqueue()``; the same workflow may be enqueued again.

    ``on_failure``: with "wait", what follows a failed step waits until that is retried, and the
    rest goes on; with "stop", the rest is cancelled as well, except for steps with ``any_end``.
    ``owner`` is that of all its runs whose tasks have none.

    Raise InvalidWorkflow for what cannot be a workflow.
    """

    def __init__(
        self,
        name: str,
        *,
        on_failure: str = WAIT,
        metadata: Mapping[str, Any] | None = None,
        owner: Any = None,
    ) -> None:
        self.name = validated_name(name, "workflow")
        if on_failure not in (WAIT, STOP):
            raise InvalidWorkflow(f"on_failure must be {WAIT!r} or {STOP!r}, not {on_failure!r}.")
        self.on_failure = on_failure
        self.metadata = _valid_metadata(metadata)
        self.owner = None if owner is None else owner_of(owner)
        self.steps: dict[str, Step] = {}
        self._number = 0  # of the runs when their steps were added

    def __repr__(self) -> str:
        return f"<Workflow {self.name!r} of {self.number} runs>"

    @property
    def number(self) -> int:
        """How many runs it has, those of workflows within it included."""
        return sum(step.number for step in self.steps.values())

    @property
    def _height(self) -> int:
        """How many levels of workflows it has, itself included."""
        within = [s.workflow._height for s in self.steps.values() if isinstance(s, NestedStep)]
        return 1 + max(within, default=0)

    def add(
        self,
        name: str,
        task: "framework.Task | TaskCall | Workflow",
        /,
        *args: Any,
        after: After = None,
        any_end: bool = False,
        **kwargs: Any,
    ) -> Step:
        """
        Add a step: a run of this task with these arguments, or another workflow. It begins when all
        that it is ``after`` has succeeded, with ``any_end`` when all of that has ended.

        Give ``task.step(...)`` instead if the task has a parameter called ``after`` or ``any_end``.
        """
        options: dict[str, Any] = {"name": self._new_name(name), "any_end": any_end}
        before = self._before(name, after)
        if isinstance(task, Workflow):
            if args or kwargs:
                raise InvalidWorkflow(f"Step {name!r} is a workflow, which takes no arguments.")
            self._refuse_too_deep(name, task)
            return self._added(NestedStep(**options, after=before, workflow=task))
        call = call_of(f"Step {name!r}", task, args, kwargs)
        return self._added(RunStep(**options, after=before, call=call))

    def each(
        self,
        name: str,
        task: framework.Task,
        items: Iterable[Any],
        /,
        *,
        after: After = None,
        any_end: bool = False,
    ) -> Group:
        """
        Add a group: one step that is a run for each item. An item is as for ``enqueue_many()``: a
        tuple or list of positional arguments, or a dict of keyword arguments. There may be none.
        """
        new_name, before = self._new_name(name), self._before(name, after)
        calls = calls_of(f"group {name!r}", task, items)
        group = Group(name=new_name, after=before, any_end=any_end, calls=calls)
        self._added(group)
        return group

    def enqueue(self) -> "WorkflowResult":
        """
        Store the workflow and its runs, all or none, in the caller's transaction if there is one;
        return its result.

        Raise InvalidWorkflow, or TypeError or ValueError for arguments that are not JSON; they name
        the step. Then nothing is written. Raise NotImplementedError if the backend stores no runs.
        """
        result: WorkflowResult = workflows_of(self.backend).enqueue(self)
        return result

    async def aenqueue(self) -> "WorkflowResult":
        """See enqueue()."""
        return await sync_to_async(self.enqueue)()

    @property
    def backend(self) -> framework.BaseTaskBackend:
        """The backend of its first run; the default one if it has none."""
        for call in self._calls():
            return call.task.get_backend()
        return task_backends[DEFAULT_TASK_BACKEND_ALIAS]

    @staticmethod
    def get_result(workflow_id: str, backend: str = DEFAULT_TASK_BACKEND_ALIAS) -> "WorkflowResult":
        """Return the result of a workflow; raise WorkflowDoesNotExist for an unknown id."""
        result: WorkflowResult = workflows_of(task_backends[backend]).get(workflow_id)
        return result

    @staticmethod
    async def aget_result(
        workflow_id: str, backend: str = DEFAULT_TASK_BACKEND_ALIAS
    ) -> "WorkflowResult":
        """See get_result()."""
        return await sync_to_async(Workflow.get_result)(workflow_id, backend)

    def _calls(self) -> Iterable[TaskCall]:
        for step in self.steps.values():
            match step:
                case RunStep():
                    yield step.call
                case Group():
                    yield from step.calls
                case NestedStep():
                    yield from step.workflow._calls()

    def _new_name(self, name: Any) -> str:
        valid = validated_name(name, "step")
        if valid in self.steps:
            raise InvalidWorkflow(
                f"The workflow {self.name!r} has a step {valid!r} already. Give this one another "
                "name, or use each() for many runs under one name."
            )
        return valid

    def _before(self, name: str, after: After) -> tuple[Step | str, ...]:
        before = tuple(dict.fromkeys(self._found(name, one) for one in _listed(after)))
        if len(before) > MAX_PREDECESSORS:
            raise InvalidWorkflow(
                f"Step {name!r} is after {len(before):,} others, and may be after at most "
                f"{MAX_PREDECESSORS:,}. Put them into a group, which is one."
            )
        return before

    def _found(self, name: str, one: Any) -> Step | str:
        if isinstance(one, Step) and self.steps.get(one.name) is one:
            return one
        if isinstance(one, str) and one in self.steps:
            return self.steps[one]
        if isinstance(one, str):
            hint = nearest(one, [*self.steps])
            raise InvalidWorkflow(
                f"Step {name!r} is after {one!r}, which the workflow {self.name!r} does not have."
                f"{hint} Add that step first."
            )
        what = f"the step {one.name!r} of another workflow" if isinstance(one, Step) else repr(one)
        raise InvalidWorkflow(
            f"Step {name!r} can only be after steps of its own workflow, or their names, "
            f"not {what}."
        )

    def _refuse_too_deep(self, name: str, nested: "Workflow") -> None:
        if nested is self or self in nested._nested:
            raise InvalidWorkflow(f"Step {name!r}: a workflow cannot be within itself.")
        if nested._height + 1 > MAX_DEPTH:
            raise InvalidWorkflow(
                f"Step {name!r}: workflows may be within workflows {MAX_DEPTH} levels deep, and "
                f"this one would make {nested._height + 1}."
            )

    @property
    def _nested(self) -> "list[Workflow]":
        """The workflows within it, on every level."""
        direct = [s.workflow for s in self.steps.values() if isinstance(s, NestedStep)]
        return [*direct, *(deeper for one in direct for deeper in one._nested)]

    def _added(self, step: Step) -> Step:
        self._number += step.number
        if self._number > MAX_STEPS:
            raise too_many(f"The workflow {self.name!r}")
        self.steps[step.name] = step
        return step


def chain(*tasks: TaskCall | framework.Task | Workflow, name: str = "chain") -> Workflow:
    """
    Return a workflow in which each of these follows the one before. The steps are called like their
    functions; the second one of a name is "name 2".
    """
    workflow = Workflow(name)
    before: Step | None = None
    for task in tasks:
        step_name = free_name(workflow, _name_of(task))
        before = workflow.add(step_name, task, after=before)
    return workflow


def _name_of(task: Any) -> str:
    if isinstance(task, Workflow):
        return task.name
    task = task.task if isinstance(task, TaskCall) else task
    return str(getattr(getattr(task, "func", None), "__name__", "step"))


def free_name(workflow: Workflow, name: str) -> str:
    """Return the name, or with a number behind it if a step of the workflow has it."""
    number, free = 1, name
    while free in workflow.steps:
        number += 1
        free = f"{name} {number}"
    return free


def _listed(after: After) -> Iterable[Any]:
    if after is None:
        return []
    return [after] if isinstance(after, str | Step) or not isinstance(after, Iterable) else after


def _valid_metadata(metadata: Any) -> dict[str, Any]:
    if not isinstance(metadata, Mapping | None):
        raise InvalidWorkflow(f"metadata must be a dict, not {metadata!r}.")
    try:
        refuse_reserved(metadata, known={})
    except ValueError as error:
        raise InvalidWorkflow(str(error)) from None
    return dict(metadata or {})


def workflows_of(backend: Any) -> Any:
    """Return what a backend can do with workflows; raise NotImplementedError if it has none."""
    if not hasattr(backend, "workflows"):
        raise NotImplementedError(
            f"The backend {backend.alias!r} ({type(backend).__name__}) cannot enqueue workflows, "
            "because it does not store runs. Use a DatabaseBackend; in tests, with run_tasks()."
        )
    return backend.workflows
