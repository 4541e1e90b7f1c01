"""``TASK_DEFAULTS`` and ``QUEUE_DEFAULTS``: the defaults of a backend's options, in settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from django.core.exceptions import ImproperlyConfigured

from taskworks.conf import nearest
from taskworks.framework import BaseTaskBackend
from taskworks.options.policy import OPTIONS, validated
from taskworks.options.stored import imported


@dataclass(frozen=True, slots=True)
class Defaults:
    """TASK_DEFAULTS and QUEUE_DEFAULTS of a backend."""

    tasks: Mapping[str, Any]
    queues: Mapping[str, Mapping[str, Any]]

    def of(self, queue_name: str) -> Mapping[str, Any]:
        """Return the defaults of a queue."""
        return self.queues.get(queue_name, self.tasks)


_defaults: WeakKeyDictionary[BaseTaskBackend, Defaults] = WeakKeyDictionary()


def defaults_of(backend: BaseTaskBackend) -> Defaults:
    """Return the defaults in a backend's OPTIONS; raise ImproperlyConfigured if invalid."""
    if backend not in _defaults:
        _defaults[backend] = _read_defaults(backend)
    return _defaults[backend]


def _read_defaults(backend: BaseTaskBackend) -> Defaults:
    place = f"TASKS[{backend.alias!r}]['OPTIONS']"
    tasks = _valid_defaults(backend.options.get("TASK_DEFAULTS", {}), f"{place}['TASK_DEFAULTS']")
    queues = backend.options.get("QUEUE_DEFAULTS", {})
    if not isinstance(queues, Mapping):
        raise ImproperlyConfigured(f"{place}['QUEUE_DEFAULTS'] must be a dict, not {queues!r}.")
    for queue in queues:
        if backend.queues and queue not in backend.queues:
            raise ImproperlyConfigured(
                f"{place}['QUEUE_DEFAULTS'] has the queue {queue!r}, which is not in 'QUEUES'."
                f"{nearest(str(queue), list(backend.queues))}"
            )
    return Defaults(
        tasks,
        {
            queue: {**tasks, **_valid_defaults(given, f"{place}['QUEUE_DEFAULTS'][{queue!r}]")}
            for queue, given in queues.items()
        },
    )


def _valid_defaults(given: Any, place: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"{place} must be a dict of options, not {given!r}.")
    for name in given:
        if name not in OPTIONS:
            raise ImproperlyConfigured(
                f"{place} has no option {name!r}.{nearest(str(name), list(OPTIONS))}"
            )
    try:
        return validated({name: imported(name, value) for name, value in given.items()})
    except Exception as error:  # a module may raise anything while it is imported
        raise ImproperlyConfigured(f"{place}: {error}") from error
