"""Django's ImmediateBackend, for tasks that have our options."""

from typing import Any

from taskworks import framework
from taskworks.backends.awaiting import EnqueueOnCommit
from taskworks.context import TaskContext, entered
from taskworks.definition import Task
from taskworks.progress import RunChannel
from taskworks.result import message, ours


class ImmediateBackend(EnqueueOnCommit, framework.ImmediateBackend):
    """
    Execute each run at once, in the caller's thread; nothing is stored. It is one attempt: there
    is no worker that would try again, interrupt it or cancel it.
    """

    task_class = Task

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self._dialogues: dict[str, RunChannel] = {}

    def enqueue(self, task: framework.Task, args: Any, kwargs: Any) -> Any:
        """Execute a run, and return its result, with what it has told of itself."""
        result = ours(super().enqueue(task, args, kwargs))
        told = self._dialogues.pop(result.id).columns
        told["messages"] = [message(entry) for entry in told["messages"]]
        for name, value in told.items():
            object.__setattr__(result, name, value)
        return result

    def enqueue_after(self, task: framework.Task, args: Any, kwargs: Any, after: Any) -> Any:
        """Execute a run that follows another, and return its result; None if that has failed."""
        succeeded = after.status == framework.TaskResultStatus.SUCCESSFUL
        return self.enqueue(task, args, kwargs) if succeeded else None

    def _execute_task(self, result: Any) -> None:
        # The task may itself be executed in another's run, whose context is not its own.
        channel = RunChannel(metadata=getattr(result.task, "metadata", None))
        self._dialogues[result.id] = channel
        with entered(TaskContext(task_result=result, _channel=channel)):
            super()._execute_task(result)  # type: ignore[misc] # Django's stubs leave it out
