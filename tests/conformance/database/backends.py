"""Our database backend, with what Django's tests expect of a Dummy- and an ImmediateBackend."""

from typing import Any

from taskworks.backends.database import DatabaseBackend
from taskworks.framework import Task, TaskResult
from taskworks.models import TaskRun
from taskworks.worker import Options, Queues, Sizes, Worker


class Shim(DatabaseBackend):
    """Stands in for the DummyBackend: nothing is executed, and the results are listed."""

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self.results: list[TaskResult] = []

    def enqueue(self, task: Task, args: Any, kwargs: Any) -> TaskResult:
        """Store a run, and list its result."""
        result = super().enqueue(task, args, kwargs)
        self.results.append(result)
        return result

    def clear(self) -> None:
        """Forget all runs."""
        self.results.clear()
        TaskRun.objects.all().delete()


class Eager(DatabaseBackend):
    """Stands in for the ImmediateBackend: a worker has been there when enqueue() returns."""

    def enqueue(self, task: Task, args: Any, kwargs: Any) -> TaskResult:
        """Store a run, and let a worker do what is ready; the result is as it is after that."""
        result = super().enqueue(task, args, kwargs)
        Worker(
            self, Options(queues=Queues(), sizes=Sizes(threads=1), batch=True, interval=0.01)
        ).run()
        result.refresh()
        return result
