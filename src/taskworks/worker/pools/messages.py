"""What a worker and its child processes say to each other; pickled, over a pipe."""

from dataclasses import dataclass
from typing import Any

from taskworks.execution import Outcome, Reason
from taskworks.models import TaskRun

# To the child. Each but the first is about the order with this number, and else ignored.


@dataclass(frozen=True, slots=True)
class AttemptOrdered:
    """Execute an attempt."""

    number: int
    run: TaskRun
    worker_id: str
    claimed: float  # by time.monotonic(), which processes of a machine share
    cancel_requested: bool
    sender: type


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Somebody wants it cancelled."""

    number: int


@dataclass(frozen=True, slots=True)
class InterruptRequested:
    """It is to stop."""

    number: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class ProgressWritten:
    """So many changes that it has told are written."""

    number: int
    changes: int


# From the child.


@dataclass(frozen=True, slots=True)
class ChildReady:
    """It has started, and listens."""


@dataclass(frozen=True, slots=True)
class AttemptBegun:
    """Its first line is about to run."""


@dataclass(frozen=True, slots=True)
class ProgressReported:
    """What it tells of its progress, after so many changes."""

    columns: dict[str, Any]
    changes: int


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """What became of it, and the child's memory in bytes after it."""

    outcome: Outcome
    memory: int


class ExceptionInChild(Exception):  # noqa: N818 - it stands for another
    """An exception of a child process, as text: its class may not be known here."""
