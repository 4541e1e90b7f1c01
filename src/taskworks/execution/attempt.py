"""One attempt at a run: the run, its task, and the times and counts that change with it."""

import math
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import IntEnum
from functools import cached_property, partial
from operator import attrgetter
from typing import Any, Protocol, TypeVar

from taskworks import real_time as time
from taskworks.context import TaskContext
from taskworks.database.clock import DatabaseClock, as_stored, python_s_time
from taskworks.execution.interrupt import Guard
from taskworks.execution.outcome import Lost, Outcome, Released, loss
from taskworks.execution.recorder import AttemptRecorder, claim_lost
from taskworks.execution.task_connections import refuse_to_wait_in_sqlite_transaction
from taskworks.framework import Task
from taskworks.jsonvalue import copied
from taskworks.models import RunState, TaskRun
from taskworks.options.policy import ALONE, Policy
from taskworks.progress import RunChannel
from taskworks.result import TaskResult
from taskworks.steps import Steps
from taskworks.steps.requests import Request

AnyGuard = TypeVar("AnyGuard", bound=Guard)

# The columns that a begun attempt changes, and that are put back if it does not count.
COUNTS = ("attempts", "worker_ids", "started_at", "last_attempted_at", "missing_since")
_counts_of = attrgetter(*COUNTS)

_making_a_channel = threading.Lock()


class Phase(IntEnum):
    """Where an attempt is between its claim and the writing of its outcome."""

    CLAIMED = 0
    AWAITING_START = 1  # its start is to be written before its first line runs
    SUBMITTED = 2  # a pool has it: it waits for a slot, or is executed
    UNCERTAIN = 3  # nobody knows yet whether its COMMIT went through
    STUCK = 4  # it cannot be stopped; its outcome is written when the process leaves
    SETTLED = 5  # it has an outcome, which is to be written
    CLOSED = 6  # its outcome is written, or lost


# An enum's attributes are slow to look up.
CLAIMED, RUNNING = Phase.CLAIMED, RunState.RUNNING.value


class Finisher(Protocol):
    """Writes the finish of a transactional task, on the connection of the calling thread."""

    alias: str

    def commit(self, run: TaskRun) -> bool:
        """Write the run's outcome; return False if the run is no longer ours."""


# Has a request of the task answered, by a call of the function, which may be in another thread.
OnRequest = Callable[["Attempt", Request, Callable[[Any], None]], None]


class Attempt:
    """
    A claimed run in a worker's hands. It changes the run in memory; the ledger writes the run.

    Times are the database's: the time of the claim plus what this process has measured since.
    """

    # The names of the instruments that have surrounded it, wherever it was executed.
    seen_by: frozenset[str] = frozenset()

    def __init__(
        self,
        run: TaskRun,
        worker_id: str,
        claimed: float | None = None,
        finisher: Finisher | None = None,
    ) -> None:
        self.run = run
        self.due_at = run.available_at  # which a retry changes
        self.worker_id = worker_id
        self.phase = CLAIMED
        # These four are moments of time.monotonic().
        self.claimed = time.monotonic() if claimed is None else claimed
        self.submitted = self.claimed  # when a pool got it
        self.began: float | None = None
        self.ended: float | None = None
        self.start_written = False
        self.outcome: Outcome | None = None
        self.on_progress: Callable[[Attempt], None] | None = None
        self.on_request: OnRequest | None = None
        self.finisher = finisher
        self.guard = Guard()  # until the pool that executes it has one that fits
        self._channel: RunChannel | None = None
        self._before = _counts_of(run)
        # prepare() finds these.
        self.task: Task
        self.policy: Policy

    @property
    def lane(self) -> str:
        """The executor in whose lane it is executed."""
        return ALONE if self.run.executor == ALONE else self.policy.executor

    @property
    def start_comes_first(self) -> bool:
        """True if its start must be written before its first line runs."""
        return self.run.at_most_once or self.run.executor == ALONE or self.policy.transactional

    # Begin and end.

    def guarded_by(self, guard: AnyGuard) -> AnyGuard:
        """Set how to stop the attempt, which is about to be executed, and return the guard."""
        before, self.guard = self.guard, guard
        if before.reason:  # it was withdrawn
            guard.cancel_before_start()
        return guard

    def begin(self, at: float | None = None) -> None:
        """Note that the task's first line is about to run, or was ``at`` a monotonic moment."""
        self.count_start(at)
        self.began = time.monotonic() if at is None else at

    def count_start(self, at: float | None = None) -> None:
        """Count the attempt as begun, unless it was counted before."""
        run = self.run
        if run.state == RUNNING:
            return
        run.last_attempted_at = self._time_at(time.monotonic() if at is None else at)
        run.started_at = run.started_at or run.last_attempted_at
        run.attempts += 1
        run.worker_ids = [*run.worker_ids, self.worker_id]
        run.missing_since = None
        run.state = RUNNING

    def uncount_start(self) -> None:
        """
        Put back what count_start() changed: the attempt does not count. When it began is kept, if
        it did: the task may have used its arguments.
        """
        counted_at = self.run.last_attempted_at
        for name, value in zip(COUNTS, self._before, strict=True):
            setattr(self.run, name, value)
        if self.began is not None:
            self.run.last_attempted_at = counted_at

    def returned(self) -> None:
        """Note that the task's last line has run."""
        self.ended = time.monotonic()

    def abandon(self) -> Released | Lost:
        """Return the outcome of an attempt that nobody waits for; one not begun never begins."""
        if self.run.at_most_once and not self._withdrawn():
            return loss("Its worker stopped, or was given up, in the middle of it.")
        return Released()

    def _withdrawn(self) -> bool:
        guard = self.guard
        withdrawn = guard.cancel_before_start()
        # The attempt may have got another guard in between.
        return withdrawn if self.guard is guard else self._withdrawn()

    # Times.

    def now(self) -> datetime:
        """The database's time."""
        return self._time_at(time.monotonic())

    @property
    def ended_at(self) -> datetime:
        """The database's time at the end of the attempt, or now if it has not ended."""
        return self._time_at(self.ended or time.monotonic())

    @property
    def age(self) -> float:
        """Seconds since the claim."""
        return time.monotonic() - self.claimed

    @property
    def deadline(self) -> float:
        """When its timeout is over, by time.monotonic(); infinite before it has begun."""
        return math.inf if self.began is None else self.began + self.policy.timeout

    @property
    def duration(self) -> float:
        """Seconds that the attempt took, or has taken so far; 0 before it has begun."""
        return 0.0 if self.began is None else (self.ended or time.monotonic()) - self.began

    def _time_at(self, moment: float) -> datetime:
        if DatabaseClock.is_python_s:  # a test may have stopped or moved it
            return as_stored(python_s_time())
        claimed_at = self.run.claimed_at
        assert claimed_at is not None, "an attempt is made of a claimed run"  # noqa: S101
        return claimed_at + timedelta(seconds=moment - self.claimed)

    # What the task is given.

    def arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """The arguments for the task's function: copies that it may change."""
        args, kwargs = copied(self.run.args), copied(self.run.kwargs) if self.run.kwargs else {}
        return ([self.context, *args] if self.task.takes_context else args), kwargs

    @cached_property
    def context(self) -> TaskContext:
        """The task's context, once the attempt has begun."""
        started_at = self.run.last_attempted_at
        assert started_at is not None, "it has begun"  # noqa: S101
        return TaskContext(
            task_result=self.result(),
            _channel=self.channel,
            _claim_token=self.run.claim_token,
            _steps=Steps(AttemptRecorder(self)),
            _number=self.run.attempts,
            _failures=self.run.failures,
            _limit=self.run.limit_name or "",
            **_limits(started_at, self.policy.timeout, self.deadline),
        )

    def result(self) -> TaskResult[..., Any]:
        """A snapshot of the run as it is now."""
        return self.run.to_result(self.task)

    # What the task and its worker say to each other.

    @property
    def channel(self) -> RunChannel:
        """The channel between the task and its worker, made when one of them first asks for it."""
        return self._channel or self._make_channel()

    @property
    def is_cancelled(self) -> bool:
        """True if somebody wants the run to stop."""
        return self._channel is not None and self._channel.cancel_requested

    @property
    def has_news(self) -> bool:
        """True if the task has reported something that is not written yet."""
        return self._channel is not None and self._channel.has_news

    def ask(self, request: Request, answered: Callable[[Any], None]) -> None:
        """Have a request of the task answered, with the answer or the exception to be raised."""
        if on_request := self.on_request:
            on_request(self, request, answered)
        else:
            answered(claim_lost(self.run.id))

    def close_channel(self) -> None:
        """Stop listening to the task."""
        self.on_progress = self.on_request = None
        if self._channel:
            self._channel.close()

    def _make_channel(self) -> RunChannel:
        channel = RunChannel(self.run.messages, self.run.metadata)
        channel.before_waiting = partial(refuse_to_wait_in_sqlite_transaction, self.run.backend)
        if self.on_progress:
            channel.on_change = partial(self.on_progress, self)
        with _making_a_channel:  # the task's thread and its worker may ask at once
            self._channel = self._channel or channel
        return self._channel


def _limits(started_at: datetime, timeout: float, ends: float) -> dict[str, Any]:
    """What a context says of the attempt's deadline, if it has one."""
    if timeout == math.inf:
        return {}
    return {"deadline": started_at + timedelta(seconds=timeout), "_ends": ends}
