"""The three signals of the standard, and the receivers that log them."""

import logging
import sys
from typing import TYPE_CHECKING, Any

from django.core.signals import setting_changed
from django.dispatch import Signal, receiver

from .base import TaskResult, TaskResultStatus

if TYPE_CHECKING:
    from .backends.base import BaseTaskBackend

LOGGER_NAME = "taskworks.framework.backport"

logger = logging.getLogger(LOGGER_NAME)

task_enqueued = Signal()
task_finished = Signal()
task_started = Signal()


@receiver(setting_changed)
def clear_tasks_handlers(*, setting: str, **kwargs: Any) -> None:
    """Let a change of TASKS take effect at once."""
    if setting == "TASKS":
        from . import task_backends

        task_backends.reset()


@receiver(task_enqueued)
def log_task_enqueued(
    sender: "type[BaseTaskBackend]", task_result: TaskResult, **kwargs: Any
) -> None:
    """Log at level DEBUG that a run was enqueued."""
    logger.debug(
        "Task id=%s path=%s enqueued backend=%s",
        task_result.id,
        task_result.task.module_path,
        task_result.backend,
    )


@receiver(task_started)
def log_task_started(
    sender: "type[BaseTaskBackend]", task_result: TaskResult, **kwargs: Any
) -> None:
    """Log at level INFO that a run has started."""
    logger.info(
        "Task id=%s path=%s state=%s",
        task_result.id,
        task_result.task.module_path,
        task_result.status,
    )


@receiver(task_finished)
def log_task_finished(
    sender: "type[BaseTaskBackend]", task_result: TaskResult, **kwargs: Any
) -> None:
    """Log how a run ended: a success at INFO, a failure at ERROR with its traceback."""
    # On a failure, the signal is sent while the exception is being handled.
    exc_info = sys.exc_info()
    logger.log(
        logging.ERROR if task_result.status == TaskResultStatus.FAILED else logging.INFO,
        "Task id=%s path=%s state=%s",
        task_result.id,
        task_result.task.module_path,
        task_result.status,
        exc_info=exc_info if exc_info[0] else None,
    )
