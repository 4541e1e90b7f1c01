"""What can be wrong with a task, a backend or a result."""

from django.core.exceptions import ImproperlyConfigured


class TaskException(Exception):  # noqa: N818 - the name is the standard's
    """Base of the exceptions about tasks. Never raised itself."""


class InvalidTask(TaskException):
    """The task is not one that its backend can run."""


class InvalidTaskBackend(ImproperlyConfigured):
    """The backend is not in TASKS, or cannot be imported."""


class TaskResultDoesNotExist(TaskException):
    """The backend has no result of this id."""


class TaskResultMismatch(TaskException):
    """The result of this id belongs to another task."""


# The names which the package django-tasks used up to its release 0.12.
InvalidTaskError = InvalidTask
InvalidTaskBackendError = InvalidTaskBackend
