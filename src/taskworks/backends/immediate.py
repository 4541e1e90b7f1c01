"""Django's ImmediateBackend, for tasks that have our options."""

from typing import Any

from taskworks import framework
from taskworks.backends.awaiting import EnqueueOnCommit
from taskworks.result import TaskResult, ours
from taskworks.task import Task


class ImmediateBackend(EnqueueOnCommit, framework.ImmediateBackend):
    """
    Execute each run at once, in the caller's thread; nothing is stored. It is one attempt: there
    is no worker that would try again, interrupt it or cancel it.
    """

    task_class = Task

    def enqueue(self, task: framework.Task, args: Any, kwargs: Any) -> TaskResult[..., Any]:
        """Execute a run, and return its result."""
        return ours(super().enqueue(task, args, kwargs))
