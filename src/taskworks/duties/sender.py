"""In whose name signals are sent about a run."""

from taskworks.framework import InvalidTaskBackend, task_backends
from taskworks.models import TaskRun


def sender_of(run: TaskRun) -> type | None:
    """The class of the run's backend; None if this process does not know it."""
    try:
        return type(task_backends[run.backend])
    except InvalidTaskBackend:
        return None
