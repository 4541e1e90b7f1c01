"""The tasks that are offered by name, which only projects with typed tasks have."""

import sys
from typing import Any

from taskworks import discovery
from taskworks.definition import Task

# Not imported here: it needs pydantic. Whoever offers a task has imported it.
REGISTRY = "taskworks.typed.registry"


def offered_task(name: str) -> Task[..., Any] | None:
    """Return the offered task with this name, or None; raise as ``registry.offered`` does."""
    registry = _registry()
    found: Task[..., Any] | None = registry and registry.find(name)
    return found


def offered_tasks() -> list[Task[..., Any]]:
    """Return the offered tasks without those that checks complain of."""
    by_name: dict[str, Task[..., Any]] = {}
    if registry := _registry():
        [*registry.survey(by_name)]
    return [*by_name.values()]


def _registry() -> Any:
    if REGISTRY not in sys.modules:
        discovery.task_modules()
    return sys.modules.get(REGISTRY)
