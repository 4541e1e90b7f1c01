"""The steps of a workflow that is being built, or grows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from taskworks import framework
from taskworks.definition import Task
from taskworks.exceptions import InvalidWorkflow
from taskworks.stand_ins import as_our_task
from taskworks.task_call import TaskCall, call_arguments, encoded

if TYPE_CHECKING:
    from taskworks.workflows.builder import Workflow

MAX_NAME = 128  # characters
MAX_PREDECESSORS = 1000  # of a step
MAX_STEPS = 10_000  # runs that are enqueued together
MAX_MEMBERS = 100_000  # runs of a workflow
MAX_EDGES = 100_000  # of what is enqueued together
MAX_DEPTH = 5  # of workflows in workflows


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A named step. Pass it as ``after=`` to the steps that follow it."""

    name: str
    # A name stands for a step of the workflow that it is added to, which was enqueued before.
    after: "tuple[Step | str, ...]" = ()
    any_end: bool = False
    only_failed: bool = False

    @property
    def rule(self) -> str:
        """How the others are to end, as in the record."""
        if self.only_failed:
            return "failure"
        return "any_end" if self.any_end else "success"

    @property
    def number(self) -> int:
        """How many runs it is."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RunStep(Step):
    """A step that is one run."""

    call: TaskCall

    @property
    def number(self) -> int:
        return 1


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Group(Step):
    """A step that is many runs. It ends when all of them have."""

    calls: list[TaskCall]
    is_open: bool = False  # whether more will come

    @property
    def number(self) -> int:
        return len(self.calls)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class NestedStep(Step):
    """A step that is a workflow."""

    workflow: "Workflow"

    @property
    def number(self) -> int:
        return self.workflow.number


After: TypeAlias = "Step | str | Iterable[Step | str] | None"


def call_of(place: str, task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskCall:
    """Return a task and its arguments; raise InvalidWorkflow if it is not a task."""
    if isinstance(task, TaskCall):
        if args or kwargs:
            raise InvalidWorkflow(
                f"{place}: give the arguments to step() or to add(), not to both."
            )
        return task
    if not isinstance(task, framework.Task):
        raise InvalidWorkflow(
            f"{place} must be a task, task.step(...) or a workflow, not {task!r}. "
            "Decorate the function with @task."
        )
    ours: Task[..., Any] = as_our_task(task)
    return TaskCall(ours, *encoded(ours, tuple(args), dict(kwargs)))


def calls_of(place: str, task: Any, items: Iterable[Any]) -> list[TaskCall]:
    """Return a call for each item, which is as for ``enqueue_many``."""
    return [*_calls_of(place, task, items)]


def _calls_of(place: str, task: Any, items: Iterable[Any]) -> Iterator[TaskCall]:
    for index, item in enumerate(items):
        if index == MAX_STEPS:
            raise too_many(place)
        args, kwargs = call_arguments(item, f"Item {index} of {place}")
        yield call_of(f"item {index} of {place}", task, args, kwargs)


def too_many(place: str) -> InvalidWorkflow:
    """Return what to raise for more runs than are enqueued together."""
    return InvalidWorkflow(
        f"{place} has more than {MAX_STEPS:,} runs, which is the most that are enqueued together. "
        "Add the others to the workflow later, or use a Batch."
    )


def validated_name(name: Any, what: str) -> str:
    """Return a name; raise InvalidWorkflow if it is not one."""
    is_name = isinstance(name, str) and 0 < len(name) <= MAX_NAME and name.isprintable()
    if not is_name or name != name.strip():
        raise InvalidWorkflow(
            f"The name of a {what} must be 1 to {MAX_NAME} printable characters without "
            f"surrounding spaces, not {name!r}."
        )
    return str(name)
