from typing import Any

from django.dispatch import receiver
from taskworks import TaskResult
from taskworks.signals import task_lost, task_rescued


@receiver(task_rescued)
def say_what_comes_back(sender: type, task_result: TaskResult, **kwargs: Any) -> None:
    print(task_result.task.name, "is executed again")


@receiver(task_lost)
def say_what_is_lost(sender: type, task_result: TaskResult, **kwargs: Any) -> None:
    print(task_result.task.name, "has to be looked at")
