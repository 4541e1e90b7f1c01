"""One attempt at a run: the run, its task, and the times and counts that change with it."""

import math
import threading
import time
from collections.abc import Callable
from copy import copy
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any, Protocol, TypeVar

from taskworks.context import TaskContext
from taskworks.database.clock import later
from taskworks.execution.interrupt import Guard
from taskworks.execution.outcome import (
    Cancelled,
    Committed,
    Crashed,
    Failed,
    Lost,
    Outcome,
    Poisoned,
    Postponed,
    Released,
    Retried,
    Snoozed,
    Succeeded,
    loss,
)
from taskworks.execution.task_connections import refuse_to_wait_for_oneself
from taskworks.framework import Task
from taskworks.jsonvalue import copied
from taskworks.models import RunState, TaskRun
from taskworks.options.policy import ALONE, Policy
from taskworks.progress import RunChannel
from taskworks.result import TaskResult

_first = threading.Lock()

AnyGuard = TypeVar("AnyGuard", bound=Guard)

FULL_TRACEBACKS = 10  # of a run's latest failures; of older ones the last line is kept

# What an attempt changes, and what is put back when it does not count.
COUNTS = ("attempts", "worker_ids", "started_at", "last_attempted_at", "missing_since")


class Finisher(Protocol):
    """Who writes the finish of a transactional task, over the connection of the calling thread."""

    alias: str

    def commit(self, run: TaskRun) -> bool:
        """Write the run's outcome; False if the run is not ours any more."""


class Attempt:
    """
    A claimed run in a worker's hands. ``begin`` and ``end`` change the run in memory; whoever
    owns the attempt writes it.

    Times are the database's: its time of the claim, plus what this process has measured since.
    """

    def __init__(self, run: TaskRun, worker_id: str, claimed: float | None = None) -> None:
        self.run = run
        self.worker_id = worker_id
        self.claimed = time.monotonic() if claimed is None else claimed
        self.submitted = self.claimed  # when it could begin but for a place
        self.began: float | None = None  # these two by time.monotonic()
        self.ended: float | None = None
        self.start_written = False
        self.outcome: Outcome | None = None
        self.listener: Callable[[Attempt], None] | None = None  # told when the task tells something
        self._channel: RunChannel | None = None
        self._before = {name: getattr(run, name) for name in COUNTS}
        self.finisher: Finisher | None = None
        self.guard = Guard()  # until the pool that executes it has one that fits
        # prepare() finds these.
        self.task: Task
        self.policy: Policy

    @property
    def must_be_known(self) -> bool:
        """Whether its start must have been written when its first line runs."""
        return self.run.at_most_once or self.run.executor == ALONE or self.policy.transactional

    def begin(self) -> None:
        """The first line is about to run."""
        self.count()
        self.began = time.monotonic()

    def count(self) -> None:
        """Count it as begun, if that has not been done before its first line."""
        run = self.run
        if run.state == RunState.RUNNING:
            return
        run.last_attempted_at = self.now()
        run.started_at = run.started_at or run.last_attempted_at
        run.attempts += 1
        run.worker_ids = [*run.worker_ids, self.worker_id]
        run.missing_since = None
        run.state = RunState.RUNNING.value

    def over(self) -> None:
        """Its last line has run."""
        self.ended = time.monotonic()

    def end(self, outcome: Outcome) -> None:
        """Turn the run into what the outcome makes of it."""
        self.outcome = outcome
        self.ended = self.ended or time.monotonic()
        self.run.return_value = None
        match outcome:
            case Retried() | Snoozed() | Postponed() | Crashed():
                self._put_back(outcome)
            case Released():
                self._undo(self.run)
                self.run.state = RunState.READY.value
            case _:
                self._conclude(outcome)

    def undone(self) -> "Attempt":
        """It with its run as before the claim, released; a copy, for it may be executing still."""
        return self.ended_by(self.abandon())

    def ended_by(self, outcome: Outcome) -> "Attempt":
        """A copy of it with this outcome."""
        attempt = copy(self)
        attempt.run, attempt.outcome, attempt.ended = copy(self.run), None, None
        attempt.end(outcome)
        return attempt

    def abandon(self) -> Released | Lost:
        """The outcome of one whose end is not waited for; if it has not begun, it never will."""
        if self.run.at_most_once and not self._withdrawn():
            return loss("Its worker stopped, or was given up, in the middle of it.")
        return Released()

    def guarded_by(self, guard: AnyGuard) -> AnyGuard:
        """It is about to be executed, and this is how to stop it; it may have been withdrawn."""
        before, self.guard = self.guard, guard
        if before.reason:
            guard.withdraw()
        return guard

    def now(self) -> datetime:
        """The database's time."""
        return self._time_at(time.monotonic())

    @property
    def _ended_at(self) -> datetime:
        return self._time_at(self.ended or time.monotonic())

    def _time_at(self, moment: float) -> datetime:
        claimed_at = self.run.claimed_at
        assert claimed_at is not None, "an attempt is made of a claimed run"  # noqa: S101
        return claimed_at + timedelta(seconds=moment - self.claimed)

    @property
    def channel(self) -> RunChannel:
        """What task and worker tell each other; made when the first of them asks for it."""
        return self._channel or self._make_channel()

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody wants the run to stop."""
        return self._channel is not None and self._channel.cancel_requested

    @property
    def has_news(self) -> bool:
        """Whether the task has told something that is not written yet."""
        return self._channel is not None and self._channel.has_news

    def detach_channel(self) -> None:
        """Nobody listens any more."""
        self.listener = None
        if self._channel:
            self._channel.close()

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
        """Seconds that the attempt took, or has taken; 0 before it has begun."""
        return 0.0 if self.began is None else (self.ended or time.monotonic()) - self.began

    def result(self) -> TaskResult[..., Any]:
        """A snapshot of the run as it is now."""
        return self.run.to_result(self.task)

    @cached_property
    def context(self) -> TaskContext:
        """What the task is told of its run, once the attempt has begun."""
        started_at = self.run.last_attempted_at
        assert started_at is not None, "it has begun"  # noqa: S101
        return TaskContext(
            task_result=self.result(),
            _channel=self.channel,
            _number=self.run.attempts,
            **_limits(started_at, self.policy.timeout, self.deadline),
        )

    def arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """What the task's function is called with, its own to change."""
        args, kwargs = copied(self.run.args), copied(self.run.kwargs)
        return ([self.context, *args] if self.task.takes_context else args), kwargs

    def _withdrawn(self) -> bool:
        guard = self.guard
        withdrawn = guard.withdraw()
        # It may have got another guard in between.
        return withdrawn if self.guard is guard else self._withdrawn()

    def _make_channel(self) -> RunChannel:
        channel = RunChannel(self.run.messages, self.run.metadata)
        channel.before_waiting = refuse_to_wait_for_oneself
        if self.listener:
            channel.listener = partial(self.listener, self)
        with _first:  # its thread and its worker may ask at once
            self._channel = self._channel or channel
        return self._channel

    def _conclude(self, outcome: Outcome) -> None:
        match outcome:
            case Succeeded(return_value):
                self.run.return_value = return_value
                self._finish(RunState.SUCCESSFUL)
            case Committed(return_value, finished_at):
                self.run.return_value = return_value
                self._finish(RunState.SUCCESSFUL)
                self.run.finished_at = finished_at
            case Failed(_, entry):
                self._add_failure(entry)
                self._finish(RunState.FAILED)
            case Poisoned(_, entry):
                self._add_crash(entry)
                self._finish(RunState.FAILED)
            case Lost(_, entry):
                self._add_error(entry)
                self._finish(RunState.FAILED)
            case Cancelled(_, entry):
                self._add_error(entry)
                self._finish(RunState.CANCELLED)

    def _put_back(self, outcome: Retried | Snoozed | Postponed | Crashed) -> None:
        match outcome:
            case Retried(_, entry, delay):
                self._add_failure(entry)
                self._acquit()
                self._requeue(delay)
            case Snoozed(delay):
                self._undo(self.run)
                self._acquit()
                self._requeue(delay)
                self._wait_anew()
            case Postponed(delay):
                self._undo(self.run)
                self.run.missing_since = self.run.missing_since or self.now()
                self._requeue(delay)
            case Crashed(_, entry):
                self._add_crash(entry)
                self._requeue(timedelta())

    def _finish(self, state: RunState) -> None:
        self.run.state = state.value
        self.run.finished_at = self._ended_at

    def _requeue(self, delay: timedelta) -> None:
        self.run.state = (RunState.SCHEDULED if delay else RunState.READY).value
        self.run.available_at = later(self.now(), delay)

    def _wait_anew(self) -> None:
        """A worker had time for it; what it may wait counts from when it is due again."""
        if not self.run.expires_at:
            return
        self.run.expires_at = None
        if self.policy.expires < math.inf:
            lifetime = timedelta(seconds=self.policy.expires)
            self.run.expires_at = later(self.run.available_at, lifetime)

    def _undo(self, run: TaskRun) -> None:
        for name, value in self._before.items():
            setattr(run, name, value)

    def _add_failure(self, entry: dict[str, str]) -> None:
        self._add_error(entry)
        self.run.failures += 1

    def _add_crash(self, entry: dict[str, str]) -> None:
        self._add_error(entry)
        self.run.crashes += 1

    def _acquit(self) -> None:
        """It was suspected of a crash, and has not crashed."""
        if self.run.executor == ALONE:
            self.run.executor = self.policy.executor

    def _add_error(self, entry: dict[str, str]) -> None:
        facts = {
            "attempt": self.run.attempts,
            "at": self._ended_at.isoformat(),
            "worker_id": self.worker_id,
        }
        self.run.errors = [*_shortened(self.run.errors), {**facts, **entry}]


def _limits(started_at: datetime, timeout: float, ends: float) -> dict[str, Any]:
    """What a context says of an attempt's end, if it has one."""
    if timeout == math.inf:
        return {}
    return {"deadline": started_at + timedelta(seconds=timeout), "_ends": ends}


def _shortened(errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """So that a run that is retried a thousand times does not keep a thousand tracebacks."""
    recent = len(errors) - FULL_TRACEBACKS + 1
    return [
        {**entry, "traceback": _last_line(entry["traceback"])} if index < recent else entry
        for index, entry in enumerate(errors)
    ]


def _last_line(traceback: str) -> str:
    return traceback.rstrip("\n").rpartition("\n")[2] + "\n"
