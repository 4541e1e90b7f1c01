"""The messages between a worker and its child processes, pickled, over a pipe; or lists of them."""

from dataclasses import dataclass
from typing import Any

from taskworks.execution import Outcome, Reason
from taskworks.models import TaskRun
from taskworks.steps.requests import Request

# To the child. What is about another order than those that it has is ignored.


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
class OrdersRecalled:
    """Give back what has not begun."""


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The run's cancellation was requested."""

    number: int


@dataclass(frozen=True, slots=True)
class InterruptRequested:
    """Stop the task."""

    number: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class ProgressWritten:
    """The task's progress is written, up to its change number ``changes``."""

    number: int
    changes: int


@dataclass(frozen=True, slots=True)
class StepAnswered:
    """The answer to a request of the task, or the exception to be raised."""

    number: int
    request: int
    answer: Any


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """Execute no more in this turn; only a child that is Celery's has turns."""


# From the child.


@dataclass(frozen=True, slots=True)
class ChildReady:
    """The child has started, and takes orders."""


@dataclass(frozen=True, slots=True)
class TurnBegun:
    """A child that is Celery's takes orders, until its turn has ended."""

    number: int  # of the turn
    pid: int


@dataclass(frozen=True, slots=True)
class AttemptBegun:
    """The task's first line is about to run."""

    number: int  # of the order
    at: float  # by time.monotonic()


@dataclass(frozen=True, slots=True)
class ProgressReported:
    """The columns of the task's progress, after its change number ``changes``."""

    number: int  # of the order
    columns: dict[str, Any]
    changes: int


@dataclass(frozen=True, slots=True)
class StepAsked:
    """The task asks for something about its steps, and waits for the answer."""

    number: int  # of the order
    request: int  # its own number
    asked: Request


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """
    The outcome of the attempt, the child's memory in bytes after it, and which instruments have
    surrounded it there.
    """

    number: int  # of the order
    at: float  # by time.monotonic()
    outcome: Outcome
    memory: int
    seen_by: frozenset[str]


@dataclass(frozen=True, slots=True)
class OrdersReturned:
    """These orders, by their numbers, were not begun, and are not going to be."""

    numbers: tuple[int, ...]
