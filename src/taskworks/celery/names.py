"""The tasks by the names that they have in Celery."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskworks.celery.task import CeleryTask

_tasks: dict[str, "CeleryTask[..., Any]"] = {}


def register(task: "CeleryTask[..., Any]") -> None:
    """
    Note the name of a task; raise TypeError if it is that of another function. A module that is
    imported again has the same functions.
    """
    other = _tasks.get(task.name)
    if other is not None and other.module_path != task.module_path:
        raise TypeError(
            f"Two functions claim the task name {task.name!r}: {other.module_path} and "
            f"{task.module_path}. Celery would execute only one of them. Give one another name=..."
        )
    _tasks[task.name] = task


def task_named(name: str) -> "CeleryTask[..., Any] | None":
    """Return the task that has this name, of those whose modules are imported; or None."""
    return _tasks.get(name)
