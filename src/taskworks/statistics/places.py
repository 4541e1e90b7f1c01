"""Where statistics are added up: one row for each period and series."""

from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from taskworks.models.statistic import EVER, HOUR, MINUTE, OTHERS, TEN_MINUTES

MAX_SERIES = {EVER: 2000, MINUTE: 200, TEN_MINUTES: 200, HOUR: 200}  # that a period tells apart


class Place(NamedTuple):
    """Which row something is added to."""

    seconds: int
    since: int
    backend: str
    queue_name: str
    task_path: str

    @property
    def id(self) -> UUID:
        """The id of the row, of which there is one."""
        return id_of(tuple(self))

    @property
    def of_others(self) -> "Place":
        """The row for what its period does not tell apart."""
        return self._replace(queue_name=OTHERS, task_path=OTHERS)


def total_of(backend: str, queue_name: str, task_path: str) -> Place:
    """Return where all that ever became of a series is added up."""
    return Place(EVER, 0, backend, queue_name, task_path)


def id_of(named: tuple[object, ...]) -> UUID:
    """Return the id of the row that these numbers and texts name."""
    text = repr(named).encode(errors="backslashreplace")
    return UUID(bytes=sha256(text).digest()[:16], version=5)
