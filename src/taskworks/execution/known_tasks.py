"""The task of a stored run and the policy in force, as this process has them."""

from typing import Any

from django.core.signals import setting_changed
from django.dispatch import receiver

from taskworks.definition import policy_of
from taskworks.discovery import resolve
from taskworks.framework import Task
from taskworks.models import TaskRun
from taskworks.options.policy import Policy

MOST = 1000  # kinds of runs that are remembered

# By what makes a difference between runs of a task that nobody has given other options.
_known: dict[tuple[Any, ...], tuple[Task, Task, Policy]] = {}


def definition_of(run: TaskRun) -> tuple[Task, Policy]:
    """
    The task as it was enqueued, and its policy; raise TaskNotFound if the path or what an option
    names cannot be imported, InvalidTask if it is no task.
    """
    found = resolve(run.task_path)
    if run.options or run.run_after:
        return _defined(run, found)
    kind = (id(found), run.backend, run.queue_name, run.rank)
    known = _known.get(kind)
    if known and known[0] is found:  # and no other task that has got its place in memory
        return known[1:]
    definition = _defined(run, found)
    if len(_known) >= MOST:
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
