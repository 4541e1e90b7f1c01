"""Which queues a Celery worker takes runs from: those whose tickets it consumes."""

from collections.abc import Collection
from typing import Any

from taskworks.backends.celery import CeleryBackend
from taskworks.backends.celery.queue_names import celery_queue, queue_names
from taskworks.worker.claiming.queues import Queues


def keep_what_is_consumed(app: Any) -> None:
    """
    Have the worker of an app consume what it does now, until somebody changes that. With older
    versions of Celery, one without ``-Q`` consumes every queue of which it has heard, and it hears
    of those to which this process sends tickets.
    """
    queues = app.amqp.queues
    if queues.consume_from is queues:
        queues.select([*queues])


class ConsumedQueues(Queues):
    """
    The queues of a backend that a Celery worker consumes at this moment: ``-Q`` names them, and
    ``add_consumer`` and ``cancel_consumer`` change them.
    """

    excluded = frozenset()
    may_change = True
    _backend: CeleryBackend
    _app: Any

    def __init__(self, backend: CeleryBackend, app: Any) -> None:
        object.__setattr__(self, "_backend", backend)
        object.__setattr__(self, "_app", app)

    @property
    def names(self) -> tuple[str, ...]:
        consumed = [*self._consumed]  # which the main thread may change meanwhile
        found = [queue_names(self._backend, self._app, queue) for queue in consumed]
        return tuple(dict.fromkeys(name for names in found for name in names))

    def takes(self, name: str) -> bool:
        known = self._backend.queues
        if known and name not in known:
            return False
        return celery_queue(self._backend, self._app, name) in self._consumed

    @property
    def _consumed(self) -> Collection[str]:
        consumed: Collection[str] = self._app.amqp.queues.consume_from
        return consumed
