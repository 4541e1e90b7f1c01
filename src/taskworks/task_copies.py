"""
Tasks that nothing validates: copies with other options, because stored runs must stay readable.

They are of any class that derives from the standard's.
"""

from collections.abc import Callable
from dataclasses import fields
from datetime import timedelta
from typing import Any, TypeVar

from django.utils import timezone

from taskworks import framework
from taskworks.exceptions import InvalidTask

AnyTask = TypeVar("AnyTask", bound=framework.Task)


def with_run_after_for(backend: framework.BaseTaskBackend, task: framework.Task) -> framework.Task:
    """Return the task with a run_after that this backend takes."""
    # DatabaseBackend adds a timedelta to the database's clock; others take points in time only.
    return (
        task
        if getattr(backend, "supports_relative_run_after", False)
        else with_absolute_run_after(task)
    )


def with_absolute_run_after(task: framework.Task) -> framework.Task:
    """Return the task with a run_after that is a timedelta turned into a point in time."""
    if not isinstance(task.run_after, timedelta):
        return task
    try:
        return unvalidated_copy(task, run_after=timezone.now() + task.run_after)
    except OverflowError:
        raise InvalidTask(f"run_after is out of range: {task.run_after!r} from now.") from None


def as_enqueued(task: AnyTask, **stored: Any) -> AnyTask:
    """Return the task of a stored run, with the options with which it was enqueued."""
    if all(getattr(task, name, value) == value for name, value in stored.items()):
        return task
    return unvalidated_copy(task, **stored)


def unvalidated_copy(task: AnyTask, **changes: Any) -> AnyTask:
    """Return a changed copy without validating it."""
    copy = object.__new__(type(task))
    for option in fields(task):
        value = changes.get(option.name, getattr(task, option.name))
        object.__setattr__(copy, option.name, value)
    return copy


def unvalidated_task(kind: type[AnyTask], function: Callable[..., Any], **options: Any) -> AnyTask:
    """Return a task without validating it; its backend does that when it is enqueued."""
    task = object.__new__(kind)
    for option in fields(kind):
        object.__setattr__(task, option.name, options.get(option.name, option.default))
    object.__setattr__(task, "func", function)
    return task
