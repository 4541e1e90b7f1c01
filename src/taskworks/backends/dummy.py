"""Django's DummyBackend, for tasks with the options of Taskworks."""

from copy import deepcopy
from typing import Any

from taskworks import framework
from taskworks.backends.not_storing import NotStoring
from taskworks.definition import Task
from taskworks.result import as_our_result


class DummyBackend(NotStoring, framework.DummyBackend):
    """Keep the results of what was enqueued in a list, and execute nothing; for tests."""

    task_class = Task

    def enqueue(self, task: framework.Task, args: Any, kwargs: Any) -> Any:
        """Keep the result of a run, and return a copy."""
        super().enqueue(task, args, kwargs)
        self.results[-1] = kept = as_our_result(self.results[-1])
        return deepcopy(kept)

    def enqueue_after(self, task: framework.Task, args: Any, kwargs: Any, after: Any) -> Any:
        """Keep the result of a run that is to follow another, at once: neither is executed."""
        return self.enqueue(task, args, kwargs)
