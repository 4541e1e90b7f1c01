"""Django's DummyBackend, for tasks that have our options."""

from copy import deepcopy
from typing import Any

from taskworks import framework
from taskworks.backends.awaiting import EnqueueOnCommit
from taskworks.definition import Task
from taskworks.result import ours


class DummyBackend(EnqueueOnCommit, framework.DummyBackend):
    """Keep the results of what was enqueued in a list, and execute nothing; for tests."""

    task_class = Task

    def enqueue(self, task: framework.Task, args: Any, kwargs: Any) -> Any:
        """Remember a run, and return its result as it is now."""
        super().enqueue(task, args, kwargs)
        self.results[-1] = remembered = ours(self.results[-1])
        return deepcopy(remembered)

    def enqueue_after(self, task: framework.Task, args: Any, kwargs: Any, after: Any) -> Any:
        """Remember a run that follows another; as neither is executed, at once."""
        return self.enqueue(task, args, kwargs)
