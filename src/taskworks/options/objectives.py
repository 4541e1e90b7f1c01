"""What is promised of queues: ``QUEUE_OBJECTIVES`` in ``TASKS[alias]["OPTIONS"]``."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from taskworks.conf import nearest
from taskworks.exceptions import InvalidTaskBackend
from taskworks.framework import BaseTaskBackend
from taskworks.options.tasks_setting import aliases, backend_of

KEYS = ("start_within", "share")
LONGEST = timedelta(days=7)
USUAL_SHARE = 0.99


@dataclass(frozen=True, slots=True)
class Objective:
    """How soon after a run of the queue is ready its attempt is to begin, and how often."""

    start_within: timedelta
    share: float = USUAL_SHARE  # of the attempts


def objectives() -> dict[tuple[str, str], Objective]:
    """Return the objective of each backend's queues that have a valid one."""
    found = {}
    try:
        for alias in aliases():
            for name, objective in objectives_of(backend_of(alias)).items():
                found[alias, name] = objective
    except (InvalidTaskBackend, ImproperlyConfigured):  # which checks report
        return found
    return found


def objectives_of(backend: BaseTaskBackend) -> dict[str, Objective]:
    """Return those in a backend's OPTIONS; raise ImproperlyConfigured if one is not valid."""
    place = f"TASKS[{backend.alias!r}]['OPTIONS']['QUEUE_OBJECTIVES']"
    given = backend.options.get("QUEUE_OBJECTIVES", {})
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"{place} must be a dict of objectives by queue, not {given!r}.")
    for queue in given:
        if backend.queues and queue not in backend.queues:
            raise ImproperlyConfigured(
                f"{place} has the queue {queue!r}, which is not in 'QUEUES'."
                f"{nearest(str(queue), list(backend.queues))}"
            )
    return {queue: _valid(one, f"{place}[{queue!r}]") for queue, one in given.items()}


def _valid(given: Any, place: str) -> Objective:
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"{place} must be a dict with 'start_within', not {given!r}.")
    for key in given:
        if key not in KEYS:
            raise ImproperlyConfigured(f"{place} has no key {key!r}.{nearest(str(key), [*KEYS])}")
    within: Any = given.get("start_within")
    share: Any = given.get("share", USUAL_SHARE)
    if type(within) in (int, float) and 0 < within < math.inf:
        within = timedelta(seconds=min(within, 2 * LONGEST.total_seconds()))
    if not isinstance(within, timedelta) or not timedelta() < within <= LONGEST:
        raise ImproperlyConfigured(
            f"{place}['start_within'] must be a number of seconds or a timedelta, of "
            f"{LONGEST.days} days at most, not {given.get('start_within')!r}."
        )
    if type(share) not in (int, float) or not 0 < share <= 1:
        raise ImproperlyConfigured(f"{place}['share'] must be above 0 and up to 1, not {share!r}.")
    return Objective(within, float(share))
