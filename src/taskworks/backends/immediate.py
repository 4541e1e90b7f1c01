"""Django's ImmediateBackend, for tasks with the options of Taskworks."""

from typing import Any

from taskworks import framework
from taskworks.backends.not_storing import NotStoring
from taskworks.context import TaskContext, entered
from taskworks.definition import Task
from taskworks.log_lines import messages_of
from taskworks.meant_database import none_in_force
from taskworks.progress import RunChannel
from taskworks.result import as_our_result, message


class ImmediateBackend(NotStoring, framework.ImmediateBackend):
    """
    Execute each run at once, in the caller's thread, and store nothing. There is only one attempt,
    which is not retried, interrupted or cancelled.
    """

    task_class = Task

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self._channels: dict[str, RunChannel] = {}

    def enqueue(self, task: framework.Task, args: Any, kwargs: Any) -> Any:
        """Execute a run, and return its result, with the progress that it has reported."""
        with none_in_force():  # for the task, and for receivers
            result = as_our_result(super().enqueue(task, args, kwargs))
        reported = self._channels.pop(result.id).columns
        reported["messages"] = [message(entry) for entry in messages_of(reported["messages"])]
        for name, value in reported.items():
            object.__setattr__(result, name, value)
        return result

    def enqueue_after(self, task: framework.Task, args: Any, kwargs: Any, after: Any) -> Any:
        """Execute a run that follows another; return its result, or None if the other failed."""
        succeeded = after.status == framework.TaskResultStatus.SUCCESSFUL
        return self.enqueue(task, args, kwargs) if succeeded else None

    def _execute_task(self, result: Any) -> None:
        # The task may be enqueued by another task, whose context it must not use.
        channel = RunChannel(metadata=getattr(result.task, "metadata", None))
        self._channels[result.id] = channel
        with entered(TaskContext(task_result=result, _channel=channel)):
            super()._execute_task(result)  # type: ignore[misc] # Django's stubs leave it out
