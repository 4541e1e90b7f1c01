"""What is paused, cleared or drained: a queue, a task, a limit or a key of it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskworks.models.pause import Scope


def scope_of(queue: Any, task: Any, limit: Any, key: Any, backend: Any) -> "Scope":
    """Return what these arguments name; raise ValueError for what nothing can have."""
    from taskworks.actions import scopes

    return scopes.scope_of(queue, task=task, limit=limit, key=key, backend=backend)
