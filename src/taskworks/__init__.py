"""Taskworks: background tasks for Django, on the project's own database."""

from taskworks.context import TaskContext, current_context
from taskworks.decorator import task
from taskworks.definition import Task
from taskworks.exceptions import (
    AlreadyEnqueued,
    TaskCancelled,
    TaskExpired,
    TaskSuspended,
    TaskTimeout,
)
from taskworks.framework import (
    DEFAULT_TASK_BACKEND_ALIAS,
    DEFAULT_TASK_QUEUE_NAME,
    TaskError,
    TaskResultStatus,
    default_task_backend,
    task_backends,
)
from taskworks.options.limits import Limit
from taskworks.options.unique import Debounce, Unique
from taskworks.result import TaskMessage, TaskResult, await_for, wait_for
from taskworks.retry import Backoff, Retry, Snooze
from taskworks.steps import Sent
from taskworks.workflows import Batch, Workflow, WorkflowResult, chain

__all__ = [
    "DEFAULT_TASK_BACKEND_ALIAS",
    "DEFAULT_TASK_QUEUE_NAME",
    "AlreadyEnqueued",
    "Backoff",
    "Batch",
    "Debounce",
    "Limit",
    "Retry",
    "Sent",
    "Snooze",
    "Task",
    "TaskCancelled",
    "TaskContext",
    "TaskError",
    "TaskExpired",
    "TaskMessage",
    "TaskResult",
    "TaskResultStatus",
    "TaskSuspended",
    "TaskTimeout",
    "Unique",
    "Workflow",
    "WorkflowResult",
    "await_for",
    "chain",
    "current_context",
    "default_task_backend",
    "task",
    "task_backends",
    "wait_for",
]
