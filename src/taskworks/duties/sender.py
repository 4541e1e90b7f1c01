"""The sender of a run's signals."""

from taskworks.framework import InvalidTaskBackend, task_backends
from taskworks.models import TaskRun


def sender_of(run: TaskRun) -> type | None:
    """Return the class of the run's backend; None if this process does not have the backend."""
    try:
        return type(task_backends[run.backend])
    except InvalidTaskBackend:
        return None
