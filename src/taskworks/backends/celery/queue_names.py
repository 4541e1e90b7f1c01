"""What Celery calls the queues of a backend, and back."""

from collections.abc import Mapping
from typing import Any

from taskworks.backends.celery.options import options_of
from taskworks.framework import DEFAULT_TASK_QUEUE_NAME, BaseTaskBackend


def celery_queue(backend: BaseTaskBackend, app: Any, queue_name: str) -> str:
    """Return the name of the queue of Celery whose workers take the runs of this queue."""
    return _names(backend, app).get(queue_name, queue_name)


def queue_names(backend: BaseTaskBackend, app: Any, queue: str) -> tuple[str, ...]:
    """
    Return the queues whose runs the workers of a queue of Celery take: those that CELERY_QUEUES
    maps to it, and the one with its name, unless that is mapped to another.
    """
    names = _names(backend, app)
    own = [] if queue in names else [queue]
    found = [*(name for name, theirs in names.items() if theirs == queue), *own]
    return tuple(name for name in found if not backend.queues or name in backend.queues)


def _names(backend: BaseTaskBackend, app: Any) -> Mapping[str, str]:
    """Return what CELERY_QUEUES says; without it only the default queues of both differ."""
    given = options_of(backend).queues
    if given is None:
        return {DEFAULT_TASK_QUEUE_NAME: app.conf.task_default_queue}
    return given
