"""How a worker has a child process execute an attempt. ``child.py`` is the other side."""

import threading
from functools import partial
from typing import Any, Protocol

from taskworks.exceptions import TaskCrashed
from taskworks.execution import Attempt, Guard, Outcome, Reason, Released, judge, judge_crash
from taskworks.worker.pools.messages import (
    AttemptBegun,
    AttemptEnded,
    AttemptOrdered,
    CancelRequested,
    InterruptRequested,
    ProgressReported,
    ProgressWritten,
    StepAnswered,
    StepAsked,
)

ANSWER_TIMEOUT = 60.0  # seconds for a child to be ready, and to begin what it is given


class TaskChild(Protocol):
    """A child process that executes one attempt after another, as it is ordered."""

    tasks: int  # that it has executed
    memory: int  # bytes that it used after the last of them

    def send(self, message: Any) -> None:
        """Send a message, unless the process has ended, which ``receive`` will show."""

    def receive(self, within: float | None = None) -> Any:
        """Return its next message; raise EOFError or OSError if it has ended, or sends none."""

    def kill(self) -> None:
        """End it at once."""


def carry_out(attempt: Attempt, child: TaskChild, number: int, sender: type) -> Outcome:
    """
    Have the child execute the attempt, which has a ``ChildGuard``, by the order with this number.
    Return the outcome; Released if it was withdrawn before. Raise EOFError or OSError if the child
    has ended, and kill it if anything else goes wrong.
    """
    guard = attempt.guard
    assert isinstance(guard, ChildGuard)  # noqa: S101
    if not guard.attach(child, number):
        return Released()
    try:
        child.send(_order(attempt, number, sender))
        return _followed(attempt, child, number)
    except (EOFError, OSError):
        raise
    except BaseException:
        child.kill()  # whatever it sends now would be taken for the next attempt's
        raise
    finally:
        guard.detach()


def outcome_of_death(attempt: Attempt, how: str, *, is_wanted: bool) -> Outcome | None:
    """
    Return the outcome of an attempt whose child has ended, in words such as "was ended by SIGKILL";
    None if it has not begun. ``is_wanted`` says that the worker ends its children.
    """
    if attempt.began is None:
        return None
    if reason := attempt.guard.reason:
        return judge(attempt, reason.exception())
    if is_wanted:
        return attempt.abandon()
    return judge_crash(attempt, TaskCrashed(f"Its process {how}."))


def _order(attempt: Attempt, number: int, sender: type) -> AttemptOrdered:
    return AttemptOrdered(
        number, attempt.run, attempt.worker_id, attempt.claimed, attempt.is_cancelled, sender
    )


def _followed(attempt: Attempt, child: TaskChild, number: int) -> Outcome:
    while True:
        match child.receive(ANSWER_TIMEOUT if attempt.began is None else None):
            case AttemptBegun():
                attempt.begin()
            case ProgressReported(columns, changes):
                written = partial(child.send, ProgressWritten(number, changes))
                attempt.channel.adopt(columns, written)
            case StepAsked(asked_by, request, asked):
                if asked_by == number:
                    attempt.ask(asked, partial(_answer, child, number, request))
            case AttemptEnded(outcome, memory, seen_by):
                child.tasks += 1
                child.memory, attempt.seen_by = memory, seen_by
                return outcome


def _answer(child: TaskChild, number: int, request: int, answer: Any) -> None:
    child.send(StepAnswered(number, request, answer))


class ChildGuard(Guard):
    """How to stop an attempt that is executed, or about to be, in a child process."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._child: TaskChild | None = None
        self._number = 0
        self._is_ordered = self._is_withdrawn = False

    def attach(self, child: TaskChild, number: int) -> bool:
        """Note the child and the number of the order; return False if it was withdrawn before."""
        with self._lock:
            if not self._is_withdrawn:
                self._child, self._number = child, number
                self._is_ordered = True
            return not self._is_withdrawn

    def detach(self) -> None:
        """Forget the child: the attempt is over, and its next one is another's."""
        with self._lock:
            self._child = None

    def request_cancel(self) -> None:
        with self._lock:
            if self._child:
                self._child.send(CancelRequested(self._number))

    def cancel_before_start(self) -> bool:
        with self._lock:
            self._is_withdrawn = self._is_withdrawn or not self._is_ordered
            return self._is_withdrawn

    def interrupt(self, reason: Reason) -> None:
        with self._lock:
            if self._child:
                self.reason = self.reason or reason
                self._child.send(InterruptRequested(self._number, reason))

    def kill(self, reason: Reason) -> bool:
        with self._lock:
            if self._child:
                self.reason = self.reason or reason
                self._child.kill()
        return True
