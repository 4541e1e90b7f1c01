"""The exceptions of the standard."""

from django.core.exceptions import ImproperlyConfigured


class TaskException(Exception):  # noqa: N818 - the name is the standard's
    """The base class of exceptions about tasks. Never raised itself."""


class InvalidTask(TaskException):
    """The backend cannot execute the task."""


class InvalidTaskBackend(ImproperlyConfigured):
    """The backend is not in TASKS, or cannot be imported."""


class TaskResultDoesNotExist(TaskException):
    """The backend has no result with this id."""


class TaskResultMismatch(TaskException):
    """The result with this id belongs to another task."""


# The names in the package django-tasks up to version 0.12.
InvalidTaskError = InvalidTask
InvalidTaskBackendError = InvalidTaskBackend
