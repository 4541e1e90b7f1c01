"""What waits in another package's queue, and what a queue has to offer for it to be moved."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID


class CannotMove(Exception):  # noqa: N818 - not a programming error
    """Nothing can be moved, for this reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A run that waits in another package's queue."""

    key: str  # its id there
    run_id: UUID  # its id here
    task_path: str
    args: list[Any]
    kwargs: dict[str, Any]
    queue_name: str
    priority: int | None  # None is the task's
    run_after: datetime | None
    enqueued_at: datetime


class Left(NamedTuple):
    """What stays where it is, and why."""

    key: str
    task_path: str | None
    reason: str


class Source(Protocol):
    """A queue of another package."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What is raised if the queue does not answer, besides the errors of databases."""

    def keys(self) -> list[str]:
        """Return the ids of what waits there, the oldest first."""

    def read(self, keys: Sequence[str]) -> Iterator[Waiting | Left]:
        """Yield what has these ids; nothing for what is gone or not to be moved."""

    def holding(self, found: Sequence[Waiting]) -> AbstractContextManager[set[str]]:
        """
        Keep everybody else from what still waits, and yield its ids. What was stored here is
        committed inside of this, or together with it.
        """

    def remove(self, found: Sequence[Waiting]) -> None:
        """Remove what is held and has been stored here."""

    def remarks(self) -> list[str]:
        """Return sentences about what else is there."""
