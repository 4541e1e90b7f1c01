"""Find the task of a stored run and its policy, and remember them."""

from typing import Any

from django.core.signals import setting_changed
from django.dispatch import receiver

from taskworks.discovery import attribute_of_loaded_module, resolve
from taskworks.framework import Task
from taskworks.models import TaskRun
from taskworks.options.in_force import policy_of
from taskworks.options.policy import Policy

MAX_REMEMBERED = 1000  # kinds of runs

# By what distinguishes runs of the same task, if they have no options of their own.
_known: dict[tuple[Any, ...], tuple[Task, Task, Policy]] = {}


def definition_of(run: TaskRun) -> tuple[Task, Policy]:
    """
    Return the task as it was enqueued, and its policy.

    Raise TaskNotFound if its path, or the path in an option, cannot be imported; InvalidTask if the
    path does not lead to a task.
    """
    if run.options or run.run_after:
        return _defined(run, resolve(run.task_path))
    kind = (run.task_path, run.backend, run.queue_name, run.rank)
    if (known := _known.get(kind)) and known[0] is attribute_of_loaded_module(run.task_path):
        return known[1:]
    found = resolve(run.task_path)
    if known and known[0] is found:
        return known[1:]
    definition = _defined(run, found)
    if len(_known) >= MAX_REMEMBERED:
        _known.clear()
    _known[kind] = (found, *definition)
    return definition


def _defined(run: TaskRun, found: Task) -> tuple[Task, Policy]:
    task = run.enqueued(found)
    return task, policy_of(task)


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "TASKS":
        _known.clear()
