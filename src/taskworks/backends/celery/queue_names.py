"""What Celery calls the queues of a backend, and back."""

from collections.abc import Iterable, Mapping
from typing import Any

from taskworks.backends.celery.celery_app import app_of
from taskworks.backends.celery.options import options_of
from taskworks.exceptions import InvalidTask
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


def refuse_unknown_queue(backend: BaseTaskBackend, queue_name: str) -> None:
    """
    Raise InvalidTask if the app takes only queues that it names, and this is none of them. Without
    an app runs are stored all the same: a check reports that.
    """
    try:
        app = app_of(backend)
        known = is_known(backend, app, queue_name)
    except Exception:  # noqa: BLE001 - a project's app may raise anything
        return
    if not known:
        raise InvalidTask(unknown_queue(backend, app, queue_name))


def is_known(backend: BaseTaskBackend, app: Any, queue_name: str) -> bool:
    """Return whether the app has a queue for this one, or makes it when it is used."""
    queue, queues = celery_queue(backend, app, queue_name), app.amqp.queues
    return app.conf.task_create_missing_queues or queue in queues or queue in queues.aliases


def unknown_queue(backend: BaseTaskBackend, app: Any, queue_name: str) -> str:
    """Say which queue the app does not have."""
    queue = celery_queue(backend, app, queue_name)
    return (
        f"The Celery app {app.main!r} has no queue {queue!r}, where workers take the runs of "
        f"{queue_name!r}, and task_create_missing_queues is off. Add it to task_queues, or map "
        f"{queue_name!r} to another one in TASKS[{backend.alias!r}]['OPTIONS']['CELERY_QUEUES']."
    )


def known_queues(backend: BaseTaskBackend, app: Any) -> Iterable[str]:
    """Return the queues that the settings name; others may exist if QUEUES allows any."""
    return backend.queues or _names(backend, app)


def _names(backend: BaseTaskBackend, app: Any) -> Mapping[str, str]:
    """Return what CELERY_QUEUES says; without it only the default queues of both differ."""
    given = options_of(backend).queues
    if given is None:
        return {DEFAULT_TASK_QUEUE_NAME: app.conf.task_default_queue}
    return given
