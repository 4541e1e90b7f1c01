"""``TaskPlan``: the tasks of an endpoint in order, computed when its class is created."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from taskworks import framework
from taskworks.conf import nearest
from taskworks.endpoints.background_task import background_task_of
from taskworks.endpoints.decorators import DeferrableEndpointTask, EndpointTask
from taskworks.exceptions import InvalidEndpoint


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """The tasks of an endpoint's class, in the order of execution."""

    synchronous: list[EndpointTask]
    deferrable: list[DeferrableEndpointTask]
    # What is enqueued for each deferrable task, by its name.
    background_tasks: Mapping[str, framework.Task] = field(default_factory=dict)

    @property
    def has_tasks(self) -> bool:
        return bool(self.synchronous or self.deferrable)

    def waits_for(self, task: DeferrableEndpointTask) -> str | None:
        """Return the name of the deferrable task that this one waits for, or None."""
        return task.depends_on if task.depends_on in self.background_tasks else None


def plan_of(endpoint: type) -> TaskPlan:
    """
    Return the plan of a class.

    Raise InvalidEndpoint for an invalid dependency, and for a deferrable task that workers cannot
    import.
    """
    declared = _declared(endpoint)
    for task in declared.values():
        _validate_dependency(endpoint, task, declared)
    in_order = [*_sorted(endpoint, declared)]
    deferrable = [task for task in in_order if isinstance(task, DeferrableEndpointTask)]
    followed = {task.depends_on for task in deferrable}
    names = {task.name for task in deferrable}
    return TaskPlan(
        [task for task in in_order if not isinstance(task, DeferrableEndpointTask)],
        deferrable,
        {
            task.name: background_task_of(
                endpoint,
                task,
                is_followed=task.name in followed,
                follows=task.depends_on in names,
            )
            for task in deferrable
        },
    )


def _declared(endpoint: type) -> dict[str, EndpointTask]:
    """Return the tasks by name; those of a subclass replace inherited ones."""
    declared: dict[str, EndpointTask] = {}
    for base in reversed(endpoint.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, EndpointTask):
                declared[name] = value
            else:
                declared.pop(name, None)
    return declared


def _validate_dependency(
    endpoint: type, task: EndpointTask, declared: Mapping[str, EndpointTask]
) -> None:
    if task.depends_on is None:
        return
    if task.depends_on not in declared:
        raise InvalidEndpoint(
            f"{full_name(endpoint, task)} depends on {task.depends_on!r}, which is not a task of "
            f"{endpoint.__qualname__}.{nearest(task.depends_on, list(declared))}"
        )
    is_later = isinstance(declared[task.depends_on], DeferrableEndpointTask)
    if is_later and not isinstance(task, DeferrableEndpointTask):
        raise InvalidEndpoint(
            f"{full_name(endpoint, task)} depends on {task.depends_on!r}, a deferrable task, which "
            "is executed after the request. Make both deferrable, or reverse the dependency."
        )


def _sorted(endpoint: type, declared: Mapping[str, EndpointTask]) -> Iterator[EndpointTask]:
    """Yield each task once: by priority, then by declaration, after the task it depends on."""
    done: set[str] = set()
    for task in sorted(declared.values(), key=lambda task: (task.priority, task.sequence)):
        for name in reversed([*_dependencies(endpoint, task, declared)]):
            if name not in done:
                done.add(name)
                yield declared[name]


def _dependencies(
    endpoint: type, task: EndpointTask, declared: Mapping[str, EndpointTask]
) -> Iterable[str]:
    """Return the names of the task, of the task it depends on, and so on."""
    names = [task.name]
    while (depends_on := declared[names[-1]].depends_on) is not None:
        if depends_on in names:
            circle = " -> ".join([*names, depends_on])
            raise InvalidEndpoint(
                f"The tasks of {endpoint.__qualname__} depend on each other in a circle: {circle}."
            )
        names.append(depends_on)
    return names


def full_name(endpoint: type, task: EndpointTask) -> str:
    """Return how error messages name the task."""
    return f"{endpoint.__qualname__}.{task.name}"
