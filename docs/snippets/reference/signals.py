from typing import Any

from django.dispatch import receiver
from taskworks import TaskResult, TaskResultStatus
from taskworks.signals import task_finished


@receiver(task_finished)
def say_what_failed(sender: type, task_result: TaskResult, **kwargs: Any) -> None:
    if task_result.status == TaskResultStatus.FAILED:
        print(task_result.task.name, task_result.errors[-1].exception_class_path)
