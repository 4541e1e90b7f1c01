"""How a worker has a child process execute an attempt. ``child.py`` is the other side."""

import math
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any, Protocol

from taskworks import real_time as time
from taskworks.exceptions import TaskCrashed
from taskworks.execution import Attempt, Guard, Outcome, Reason, Released, judge, judge_crash
from taskworks.worker.pools.messages import (
    AttemptBegun,
    AttemptEnded,
    AttemptOrdered,
    CancelRequested,
    InterruptRequested,
    OrdersRecalled,
    OrdersReturned,
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

    @property
    def mark(self) -> int:
        """The number of the order that it executes, which it has noted; 0 if it notes none."""


class Orders:
    """The attempts that a child has been ordered to execute, one after another."""

    def __init__(self, child: TaskChild, sender: type) -> None:
        self._child, self._sender = child, sender
        self._numbers = count(1)
        self._open: dict[int, Attempt] = {}
        self._given_at = self._heard_at = math.inf
        self._may_recall = self._is_withdrawn = False
        self._lock = threading.Lock()  # of whether attempts are open, and have begun

    def __len__(self) -> int:
        return len(self._open)

    @property
    def waits_since(self) -> float:
        """
        Since when the child has had one that may not have begun, and that was not withdrawn, by
        time.monotonic(); infinite if it has none.
        """
        return self._given_at if len(self._open) > 1 and not self._is_withdrawn else math.inf

    def give(self, attempts: Sequence[Attempt]) -> list[Attempt]:
        """Order these, each with a ``ChildGuard``; return those that were withdrawn before."""
        given = dict(zip(self._numbers, attempts, strict=False))
        self._open = {
            number: attempt for number, attempt in given.items() if self._attach(number, attempt)
        }
        self._given_at = self._heard_at = time.monotonic()
        self._is_withdrawn = False
        self._child.send(
            [_order(attempt, number, self._sender) for number, attempt in self._open.items()]
        )
        self._may_recall = len(self._open) > 1  # only now: none is recalled before it is sent
        return [attempt for number, attempt in given.items() if number not in self._open]

    def _attach(self, number: int, attempt: Attempt) -> bool:
        guard = attempt.guard
        assert isinstance(guard, ChildGuard)  # noqa: S101
        return guard.attach(self._child, number)

    def recall(self, silent_for: float = 0.0) -> None:
        """Have what has not begun given back, if the child was silent for this long, in seconds."""
        if self._may_recall and time.monotonic() - self._heard_at >= silent_for:
            self._may_recall = False
            self._child.send(OrdersRecalled())

    def withdraw(self) -> None:
        """Have what has not begun given back, and end as Released."""
        self._is_withdrawn = True
        self.recall()

    def look(self, silent_for: float = 0.0) -> None:
        """
        Note that the attempt has begun that the child executes, if it has said nothing for so many
        seconds: it does not come to say so while code in C holds its interpreter.
        """
        if not self._open or time.monotonic() - self._heard_at < silent_for:
            return
        with self._lock:
            if all(attempt.began is not None for attempt in self._open.values()):
                return
            attempt = self._open.get(self._child.mark)
            if attempt and attempt.began is None:
                attempt.begin()

    def hear(self) -> Iterator[tuple[Attempt, Outcome | None]]:
        """
        Take in what the child says next. Yield the attempts that have ended, with their outcomes;
        those that it has given back with None, or as Released if they were withdrawn. Raise
        EOFError or OSError if it has ended.
        """
        heard = self._receive()
        self._heard_at = time.monotonic()
        for message in heard if isinstance(heard, list) else [heard]:
            yield from self._take_in(message)

    def _receive(self) -> Any:
        while True:
            try:
                return self._child.receive(None if self._has_begun else ANSWER_TIMEOUT)
            except TimeoutError:
                self.look()
                if not self._has_begun:
                    raise

    @property
    def _has_begun(self) -> bool:
        return any(attempt.began is not None for attempt in self._open.values())

    def _take_in(self, message: Any) -> Iterator[tuple[Attempt, Outcome | None]]:
        match message:
            case AttemptBegun(number, at):
                with self._lock:
                    self._open[number].begin(at)
            case ProgressReported(number, columns, changes):
                written = partial(self._child.send, ProgressWritten(number, changes))
                self._open[number].channel.adopt(columns, written)
            case StepAsked(number, request, asked):
                if attempt := self._open.get(number):
                    attempt.ask(asked, partial(_answer, self._child, number, request))
            case AttemptEnded(number, at, outcome, memory, seen_by):
                self._child.tasks += 1
                self._child.memory = memory
                attempt = self._close(number)
                attempt.ended, attempt.seen_by = at, seen_by
                yield attempt, outcome
            case OrdersReturned(numbers):
                for number in reversed(numbers):
                    yield self._close(number), Released() if self._is_withdrawn else None

    def close(self) -> dict[int, Attempt]:
        """Return what has not ended, by the numbers of the orders, and forget it."""
        return {number: self._close(number) for number in [*self._open]}

    def _close(self, number: int) -> Attempt:
        with self._lock:
            attempt = self._open.pop(number)
        self._may_recall = self._may_recall and bool(self._open)
        guard = attempt.guard
        assert isinstance(guard, ChildGuard)  # noqa: S101
        guard.detach()
        return attempt


def carry_out(attempt: Attempt, orders: Orders, child: TaskChild) -> Outcome:
    """
    Have the child execute the attempt, which has a ``ChildGuard``. Return the outcome; Released if
    it was withdrawn before. Raise EOFError or OSError if the child has ended, and kill it if
    anything else goes wrong.
    """
    try:
        if orders.give([attempt]):
            return Released()
        while True:
            for _, outcome in orders.hear():
                assert outcome is not None, "one order is not recalled"  # noqa: S101
                return outcome
    except (EOFError, OSError):
        raise
    except BaseException:
        child.kill()  # whatever it sends now would be taken for the next attempt's
        raise
    finally:
        orders.close()


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
