from datetime import timedelta
from typing import Any

from django.dispatch import receiver
from taskworks import TaskResult
from taskworks.signals import task_cancelled, task_retried


@receiver(task_retried)
def say_when(sender: type, task_result: TaskResult, delay: timedelta, **kwargs: Any) -> None:
    print(task_result.task.name, "again in", delay)


@receiver(task_cancelled)
async def say_who(sender: type, task_result: TaskResult, **kwargs: Any) -> None:
    print(task_result.task.name, "was cancelled")
