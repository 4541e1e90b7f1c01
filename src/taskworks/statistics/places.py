"""Where statistics are added up: one row for each period and series."""

from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from taskworks.models.statistic import (
    EVER,
    HOUR,
    MINUTE,
    OF_EVERYTHING,
    OF_QUEUE,
    OF_SERIES,
    OTHERS,
    TEN_MINUTES,
)
from taskworks.statistics.tally import Tally

MAX_SERIES = {EVER: 2000, MINUTE: 200, TEN_MINUTES: 200, HOUR: 200}  # that a period tells apart


class Place(NamedTuple):
    """Which row something is added to."""

    seconds: int
    since: int
    backend: str
    queue_name: str
    task_path: str
    level: int = OF_SERIES

    @property
    def id(self) -> UUID:
        """The id of the row, of which there is one."""
        return id_of(tuple(self))

    @property
    def of_others(self) -> "Place":
        """The row for what its period does not tell apart."""
        return self._replace(queue_name=OTHERS, task_path=OTHERS if self.task_path else "")

    @property
    def wider(self) -> "tuple[Place, ...]":
        """The rows of its queue and of everything, in which the same is counted."""
        if self.seconds == EVER:
            return ()
        of_queue = self._replace(task_path="", level=OF_QUEUE)
        return of_queue, of_queue._replace(backend="", queue_name="", level=OF_EVERYTHING)


def with_wider(tallies: Mapping[Place, Tally]) -> dict[Place, Tally]:
    """Return what was counted of tasks, and the same of their queues and of everything."""
    wider: dict[Place, Tally] = {}
    for place, tally in tallies.items():
        for one in place.wider:
            wider.setdefault(one, Tally()).add(tally)
    return {**tallies, **wider}


def total_of(backend: str, queue_name: str, task_path: str) -> Place:
    """Return where all that ever became of a series is added up."""
    return Place(EVER, 0, backend, queue_name, task_path)


def id_of(named: tuple[object, ...]) -> UUID:
    """Return the id of the row that these numbers and texts name."""
    text = repr(named).encode(errors="backslashreplace")
    return UUID(bytes=sha256(text).digest()[:16], version=5)
