"""Tasks that stand in for others: for one of the standard's class, or one that is not there."""

from dataclasses import fields
from typing import Any

from taskworks import framework
from taskworks.definition import Task
from taskworks.task_copies import unvalidated_task


def as_our_task(task: framework.Task) -> Task:
    """Return a task of the standard's class as a ``Task`` of Taskworks."""
    if isinstance(task, Task):
        return task
    standard = {field.name: getattr(task, field.name) for field in fields(framework.Task)}
    return unvalidated_task(Task, standard.pop("func"), **standard)


def placeholder_for(path: str, reason: BaseException) -> Task:
    """Return a task in place of one that cannot be imported; it raises ``reason`` when called."""

    def function(*args: Any, **kwargs: Any) -> None:
        raise reason

    module, _, name = str(path).rpartition(".")
    function.__module__, function.__name__, function.__qualname__ = module, name, name
    return unvalidated_task(Task, function)
