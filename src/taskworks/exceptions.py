"""
Every exception a user of Taskworks can meet. The first five are the standard's own.

TaskException
 ├─ InvalidTask             the task cannot be defined or enqueued like this
 │   └─ InvalidEndpoint     a task of an endpoint cannot
 ├─ InvalidInputs           a typed task is not given what it takes (a ValueError, too)
 ├─ InvalidOutputs          a typed task has not returned what it promised (likewise)
 ├─ TaskResultDoesNotExist  no run has this id
 ├─ TaskResultMismatch      the run belongs to another task
 ├─ TaskNotFound            a stored path leads to nothing that can be imported
 ├─ TaskExpired             a run has waited longer than it may
 ├─ TaskCrashed             the process that executed an attempt is gone
 ├─ TaskPoisoned            a run has crashed its process too often
 ├─ ResourceNotFound        what a deferred task of an endpoint is about is gone
 └─ TaskLost                nobody knows how far a run has got that may be executed once only
TimeoutError
 └─ TaskTimeout             an attempt took longer than it may
BaseException
 └─ TaskCancelled           a run was cancelled
ImproperlyConfigured
 └─ InvalidTaskBackend      TASKS names no such backend

``Retry`` and ``Snooze``, which a task raises itself, stand in ``taskworks.retry``.
"""

from taskworks.framework import (
    InvalidTask,
    InvalidTaskBackend,
    TaskException,
    TaskResultDoesNotExist,
    TaskResultMismatch,
)

__all__ = [
    "InvalidEndpoint",
    "InvalidInputs",
    "InvalidOutputs",
    "InvalidTask",
    "InvalidTaskBackend",
    "InvalidTaskBackendError",
    "InvalidTaskError",
    "ResourceNotFound",
    "TaskCancelled",
    "TaskCrashed",
    "TaskException",
    "TaskExpired",
    "TaskLost",
    "TaskNotFound",
    "TaskPoisoned",
    "TaskResultDoesNotExist",
    "TaskResultMismatch",
    "TaskTimeout",
]

# The names of the django-tasks package, for those who come from there.
InvalidTaskError = InvalidTask
InvalidTaskBackendError = InvalidTaskBackend


class InvalidEndpoint(InvalidTask):
    """A task of an endpoint cannot be defined, or enqueued, like this; it names both."""


class _Misfits(TaskException, ValueError):  # noqa: N818 - a base
    """Values that do not fit; ``errors`` has sentences, in lists, by the names of the values."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__(errors)
        self.errors = errors

    def __str__(self) -> str:
        return "; ".join(f"{name}: {' '.join(reasons)}" for name, reasons in self.errors.items())


class InvalidInputs(_Misfits):
    """A typed task was given what does not fit its inputs; ``errors`` says why, by their names."""


class InvalidOutputs(_Misfits):
    """A typed task has returned what does not fit its outputs; ``errors`` says why, likewise."""


class ResourceNotFound(TaskException):
    """The resource that a deferred task was handed by its primary key is not there any more."""


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


class TaskExpired(TaskException):
    """A run waited longer than its ``expires`` for a worker, and was not executed."""


class TaskCrashed(TaskException):
    """The child process that executed an attempt ended in the middle of it."""


class TaskPoisoned(TaskException):
    """A run crashed its process three times, although it was executed alone."""


class TaskLost(TaskException):
    """
    The worker of a run with ``delivery="at_most_once"`` was gone before the attempt had ended. It
    may have been executed in part, and is not executed again.
    """


class TaskTimeout(TimeoutError):  # noqa: N818 - a name that others know
    """An attempt took longer than the ``timeout`` of its task."""


class TaskCancelled(BaseException):
    """
    A run was cancelled. Like ``asyncio.CancelledError`` it is no ``Exception``, so that a task's
    own ``except Exception`` does not go on in spite of it.
    """
