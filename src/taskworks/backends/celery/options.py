"""What ``OPTIONS`` say of a backend whose runs Celery's workers execute."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from taskworks.framework import BaseTaskBackend

KEYS = ("CELERY_APP", "CELERY_QUEUES", "TICKETS")

MAX_TICKETS = 1000  # for the runs of one call


@dataclass(frozen=True, slots=True)
class CeleryOptions:
    """The options in force."""

    app: str | None = None  # where it is; None: the only one in the process
    queues: Mapping[str, str] | None = None  # what Celery calls a queue, where it differs
    tickets: int = 100  # for the runs of one call, at most; 0: workers look for themselves


def options_of(backend: BaseTaskBackend) -> CeleryOptions:
    """Return the options of a backend; raise ImproperlyConfigured for one that is not valid."""
    given, defaults = backend.options, CeleryOptions()
    place = f"TASKS[{backend.alias!r}]['OPTIONS']"
    return CeleryOptions(
        _app(f"{place}['CELERY_APP']", given.get("CELERY_APP")),
        _queues(f"{place}['CELERY_QUEUES']", given.get("CELERY_QUEUES")),
        _tickets(f"{place}['TICKETS']", given.get("TICKETS", defaults.tickets)),
    )


def has_tickets(backend: BaseTaskBackend) -> bool:
    """Return whether this is a backend with these options, for whose runs there may be tickets."""
    return {*KEYS} <= {*getattr(backend, "keys_of_options", ())}


def _app(place: str, given: Any) -> str | None:
    if given is not None and not (isinstance(given, str) and given):
        raise ImproperlyConfigured(
            f"{place} must be the path of an app, such as 'project.celery:app', not {given!r}."
        )
    return given


def _queues(place: str, given: Any) -> Mapping[str, str] | None:
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(
            f"{place} must be a dict of Celery's queues by our queue names, not {given!r}."
        )
    for item in given.items():
        if not all(isinstance(name, str) and name for name in item):
            raise ImproperlyConfigured(
                f"{place} must have names of queues, such as {{'default': 'celery'}}; it has "
                f"{item[0]!r}: {item[1]!r}."
            )
    return given


def _tickets(place: str, given: Any) -> int:
    if type(given) is not int or not 0 <= given <= MAX_TICKETS:
        raise ImproperlyConfigured(
            f"{place} must be an integer from 0 to {MAX_TICKETS}, not {given!r}."
        )
    return given
