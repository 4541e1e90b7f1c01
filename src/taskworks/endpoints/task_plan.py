"""What an endpoint's tasks are, and in which order they come: settled when its class is made."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from taskworks import framework
from taskworks.conf import nearest
from taskworks.endpoints.deferral import run_of
from taskworks.endpoints.endpoint_tasks import DeferrableEndpointTask, EndpointTask
from taskworks.exceptions import InvalidEndpoint

Declared = TypeVar("Declared", bound=EndpointTask)


@dataclass(frozen=True, slots=True)
class Plan:
    """The tasks of an endpoint's class, in the order in which they come."""

    synchronous: list[EndpointTask]
    deferrable: list[DeferrableEndpointTask]
    # What a worker executes for each of the latter, by its name.
    runs: Mapping[str, framework.Task] = field(default_factory=dict)

    @property
    def has_tasks(self) -> bool:
        return bool(self.synchronous or self.deferrable)

    def follows(self, task: DeferrableEndpointTask) -> str | None:
        """The deferrable task on whose success this one waits; None if it waits for none."""
        return task.depends_on if task.depends_on in self.runs else None


def plan_of(endpoint: type) -> Plan:
    """
    The plan of a class; raise InvalidEndpoint for dependencies that cannot be, and for a
    deferrable task that no worker could find.
    """
    declared = _declared(endpoint)
    for task in declared.values():
        _validate_dependency(endpoint, task, declared)
    in_order = [*_sorted(endpoint, declared)]
    deferrable = [task for task in in_order if isinstance(task, DeferrableEndpointTask)]
    followed = {task.depends_on for task in deferrable}
    return Plan(
        [task for task in in_order if not isinstance(task, DeferrableEndpointTask)],
        deferrable,
        {
            task.name: run_of(endpoint, task, is_followed=task.name in followed)
            for task in deferrable
        },
    )


def _declared(endpoint: type) -> dict[str, EndpointTask]:
    """By their names; a subclass's replace those that it inherits."""
    found: dict[str, EndpointTask] = {}
    for base in reversed(endpoint.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, EndpointTask):
                found[name] = value
            else:
                found.pop(name, None)
    return found


def _validate_dependency(
    endpoint: type, task: EndpointTask, declared: Mapping[str, EndpointTask]
) -> None:
    if task.depends_on is None:
        return
    if task.depends_on not in declared:
        raise InvalidEndpoint(
            f"{named(endpoint, task)} depends on {task.depends_on!r}, which is no task of "
            f"{endpoint.__qualname__}.{nearest(task.depends_on, list(declared))}"
        )
    is_later = isinstance(declared[task.depends_on], DeferrableEndpointTask)
    if is_later and not isinstance(task, DeferrableEndpointTask):
        raise InvalidEndpoint(
            f"{named(endpoint, task)} depends on {task.depends_on!r}, a deferrable task, which "
            "comes after the request: make it a deferrable task too, or turn the two around."
        )


def _sorted(endpoint: type, declared: Mapping[str, EndpointTask]) -> Iterator[EndpointTask]:
    """By priority, then as they were declared; each once, and after what it depends on."""
    done: set[str] = set()
    for task in sorted(declared.values(), key=lambda task: (task.priority, task.turn)):
        for name in reversed([*_way_down(endpoint, task, declared)]):
            if name not in done:
                done.add(name)
                yield declared[name]


def _way_down(
    endpoint: type, task: EndpointTask, declared: Mapping[str, EndpointTask]
) -> Iterable[str]:
    """The task, what it depends on, what that depends on, and so forth."""
    way = [task.name]
    while (depends_on := declared[way[-1]].depends_on) is not None:
        if depends_on in way:
            circle = " -> ".join([*way, depends_on])
            raise InvalidEndpoint(
                f"The tasks of {endpoint.__qualname__} depend on each other in a circle: {circle}."
            )
        way.append(depends_on)
    return way


def named(endpoint: type, task: EndpointTask) -> str:
    """How errors name a task of an endpoint."""
    return f"{endpoint.__qualname__}.{task.name}"
