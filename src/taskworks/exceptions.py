"""
The exceptions of Taskworks, and those of the standard.

TaskException
 ├─ InvalidTask             a task cannot be defined or enqueued like this
 │   ├─ InvalidEndpoint     the same, for a task of an endpoint
 │   └─ InvalidWorkflow     the same, for a workflow
 ├─ WorkflowFinished        nothing can be added: the workflow has ended, or is being cancelled
 ├─ WorkflowDoesNotExist    no workflow has this id
 ├─ InvalidInputs           arguments do not fit a typed task (also a ValueError)
 ├─ InvalidOutputs          a return value does not fit a typed task (also a ValueError)
 ├─ InvalidStepValue        the value of a step cannot be recorded (also a ValueError)
 ├─ TaskResultDoesNotExist  no run has this id
 ├─ TaskResultMismatch      the run belongs to another task
 ├─ TaskNotFound            the path of a stored run cannot be imported
 ├─ AlreadyEnqueued         a run holds the unique key, and a second one is refused
 ├─ TaskExpired             a run waited longer than its ``expires``
 ├─ TaskCrashed             the process of an attempt died
 ├─ TaskPoisoned            a run crashed its process three times
 ├─ ResourceNotFound        the resource of a deferrable task does not exist
 └─ TaskLost                the worker of an at-most-once run died, or a run is another worker's
TimeoutError
 └─ TaskTimeout             an attempt took longer than its ``timeout``
BaseException
 ├─ TaskCancelled           a run was cancelled
 └─ TaskSuspended           a run sleeps, or waits for an event
ImproperlyConfigured
 └─ InvalidTaskBackend      TASKS does not have such a backend

``Retry`` and ``Snooze``, which a task raises itself, are in ``taskworks.retry``.
"""

from typing import Any

from taskworks.framework import (
    InvalidTask,
    InvalidTaskBackend,
    TaskException,
    TaskResultDoesNotExist,
    TaskResultMismatch,
)

__all__ = [
    "AlreadyEnqueued",
    "InvalidEndpoint",
    "InvalidInputs",
    "InvalidOutputs",
    "InvalidStepValue",
    "InvalidTask",
    "InvalidTaskBackend",
    "InvalidTaskBackendError",
    "InvalidTaskError",
    "InvalidWorkflow",
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
    "TaskSuspended",
    "TaskTimeout",
    "WorkflowDoesNotExist",
    "WorkflowFinished",
]

# The names in the package django-tasks.
InvalidTaskError = InvalidTask
InvalidTaskBackendError = InvalidTaskBackend


class InvalidEndpoint(InvalidTask):
    """A task of an endpoint cannot be defined or enqueued like this; the message names both."""


class InvalidWorkflow(InvalidTask):
    """A workflow cannot be built or enqueued like this; the message names it and the step."""


class WorkflowFinished(TaskException):
    """Nothing can be added to a workflow that has ended, or is being cancelled."""


class WorkflowDoesNotExist(TaskException):
    """No workflow has this id."""


class _InvalidValues(TaskException, ValueError):  # noqa: N818 - a base class
    """Values are not valid. ``errors`` is a dict of names to lists of sentences."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__(errors)
        self.errors = errors

    def __str__(self) -> str:
        return "; ".join(f"{name}: {' '.join(reasons)}" for name, reasons in self.errors.items())


class InvalidInputs(_InvalidValues):
    """Arguments do not fit the inputs of a typed task; ``errors`` says why, by input."""


class InvalidOutputs(_InvalidValues):
    """A return value does not fit the outputs of a typed task; ``errors`` says why, by output."""


class InvalidStepValue(TaskException, ValueError):  # noqa: N818 - public name
    """
    The value of a step is not JSON, or too large. The step was executed, so the run fails at once,
    unless ``retry_on`` names this class.
    """


class ResourceNotFound(TaskException):
    """The model instance that a deferrable task refers to by its primary key no longer exists."""


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


class AlreadyEnqueued(TaskException):
    """
    A task that is unique with ``on_conflict="refuse"`` was enqueued while a run held its key.

    ``result`` is the result of that run; None if that is another item of the same
    ``enqueue_many()``, or belongs to another user.
    """

    def __init__(self, result: Any = None, place: int | None = None) -> None:
        super().__init__(result, place)
        self.result, self.place = result, place

    def __str__(self) -> str:
        item = "" if self.place is None else f"item {self.place}: "
        which = f": {self.result.id}" if self.result else ""
        return f"{item}A run with the same unique key was enqueued before{which}."


class TaskExpired(TaskException):
    """A run waited longer than its ``expires`` for a worker, and was not executed."""


class TaskCrashed(TaskException):
    """The child process that executed an attempt ended in the middle of it."""


class TaskPoisoned(TaskException):
    """A run crashed its process three times, although it was executed alone."""


class TaskLost(TaskException):
    """
    The worker of a run with ``delivery="at_most_once"`` died before the attempt ended. The run may
    have been executed in part, and is not executed again.

    Also raised by steps in an attempt whose worker was given up: the run is another worker's by
    now, which may be executing it. Nothing that this attempt does is recorded.
    """


class TaskTimeout(TimeoutError):  # noqa: N818 - public name
    """An attempt took longer than the ``timeout`` of its task."""


class OutOfTime(BaseException):
    """
    Raised in a task whose ``timeout`` is over; where it leaves the task, it becomes TaskTimeout.
    Not an Exception, so that a task does not handle it by accident.
    """


class TaskCancelled(BaseException):
    """
    A run was cancelled. Like ``asyncio.CancelledError`` it is not an ``Exception``, so that
    ``except Exception`` in a task does not catch it.
    """


class TaskSuspended(BaseException):
    """
    A run sleeps, or waits for an event, so its attempt ends here; it does not count. Like
    ``TaskCancelled`` it is not an ``Exception``: ``except Exception`` in a task, which may undo
    earlier steps, does not catch it.

    ``after`` is the seconds until the run is due at the latest; ``seen`` the events that had ended
    then, None for a run that waits for none.
    """

    def __init__(self, after: float, seen: frozenset[str] | None = None) -> None:
        super().__init__("The run sleeps, or waits for an event.")
        self.after, self.seen = after, seen
