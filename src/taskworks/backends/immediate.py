"""Django's ImmediateBackend, for tasks that have our options."""

from taskworks import framework
from taskworks.task import Task


class ImmediateBackend(framework.ImmediateBackend):
    """Execute each run at once, in the caller's thread; nothing is stored."""

    task_class = Task
