"""
Every exception a user of Taskworks can meet. The first five are the standard's own.

TaskException
 ├─ InvalidTask             the task cannot be defined or enqueued like this
 ├─ TaskResultDoesNotExist  no run has this id
 ├─ TaskResultMismatch      the run belongs to another task
 └─ TaskNotFound            a stored path leads to nothing that can be imported
ImproperlyConfigured
 └─ InvalidTaskBackend      TASKS names no such backend
"""

from taskworks.framework import (
    InvalidTask,
    InvalidTaskBackend,
    TaskException,
    TaskResultDoesNotExist,
    TaskResultMismatch,
)

__all__ = [
    "InvalidTask",
    "InvalidTaskBackend",
    "InvalidTaskBackendError",
    "InvalidTaskError",
    "TaskException",
    "TaskNotFound",
    "TaskResultDoesNotExist",
    "TaskResultMismatch",
]

# The names of the django-tasks package, for those who come from there.
InvalidTaskError = InvalidTask
InvalidTaskBackendError = InvalidTaskBackend


class TaskNotFound(TaskException):
    """The path of a stored run cannot be imported by this process."""

    def __init__(self, path: str, reason: BaseException) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"The task {self.path!r} cannot be imported: "
            f"{type(self.reason).__name__}: {self.reason}. "
            "Deploy the code that defines it."
        )
