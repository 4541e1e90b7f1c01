"""TaskProcess processes, for what is heavy or untrusted: one a slot, spawned, over a pipe."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import count
from queue import SimpleQueue
from typing import Any

from django.db import connections

from taskworks.exceptions import TaskCrashed
from taskworks.execution import (
    Attempt,
    Guard,
    Outcome,
    Postponed,
    Reason,
    Released,
    cancellation,
    judge,
    judge_crash,
)
from taskworks.logs import steady_logger
from taskworks.worker.pools.messages import (
    AttemptBegun,
    AttemptEnded,
    AttemptOrdered,
    CancelRequested,
    InterruptRequested,
    ProgressReported,
    ProgressWritten,
)
from taskworks.worker.pools.pool import Done, Pool

SPAWNS = 3  # tries to have a child that lives long enough to begin
SPAWN_AGAIN_AFTER = timedelta(seconds=10)
ANSWER_WITHIN = 60.0  # seconds for a child to be ready, and to begin what it is given

# What the child does first. The app registry must be ready before anything of ours is imported.
BOOT = """
import json, sys
descriptor, path, databases = json.loads(sys.argv[1])
sys.path[:] = path
import django
django.setup()
from django.db import connections
for alias, name in databases.items():
    connections.databases[alias]["NAME"] = name
from taskworks.worker.pools.child import work
work(descriptor)
"""

logger = steady_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recycling:
    """After how many runs, and past how much memory in bytes, a child is replaced."""

    max_tasks: int | None = None
    max_memory: int | None = None

    def is_due(self, tasks: int, memory: int) -> bool:
        return (self.max_tasks is not None and tasks >= self.max_tasks) or (
            self.max_memory is not None and memory > self.max_memory
        )


class ProcessPool(Pool):
    """A fixed number of slots, each with a thread that speaks with its child."""

    def __init__(self, size: int, recycling: Recycling, sender: type, done: Done) -> None:
        super().__init__(size)
        self._recycling, self._sender, self._done = recycling, sender, done
        self._calls: SimpleQueue[bool] = SimpleQueue()  # to look at what waits; False is to end
        self._slots: list[Slot] = []

    @property
    def ahead(self) -> int:
        """Nothing waits for a child: what goes there takes long, or may crash."""
        return 0

    def _begin(self, count: int) -> None:
        for _ in range(count):
            self._calls.put(True)
        while len(self._slots) < min(max(self.size, 1), self._busy):
            slot = Slot(self._recycling, self._sender)
            self._slots.append(slot)
            name = f"taskworks-process-{len(self._slots)}"
            threading.Thread(target=self._work, args=[slot], name=name, daemon=True).start()

    def close(self) -> None:
        for slot in self._slots:
            self._calls.put(False)
            slot.close()

    def _work(self, slot: "Slot") -> None:
        while self._calls.get():
            if attempt := self._next():
                outcome = self._execute(attempt, slot)
                self.vacate()
                self._done(attempt, outcome)
                del attempt, outcome
        slot.end()

    def _execute(self, attempt: Attempt, slot: "Slot") -> Outcome:
        attempt.guarded_by(ChildGuard())
        try:
            return slot.execute(attempt)
        except BaseException as error:  # noqa: BLE001 - the thread must not end for it
            return judge(attempt, error)


class ChildGuard(Guard):
    """An attempt in a child process, once it is there."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._child: TaskProcess | None = None
        self._number = 0
        self._is_ordered = self._is_withdrawn = False

    def attach(self, child: "TaskProcess", number: int) -> bool:
        """It is about to be ordered; False if it was withdrawn before."""
        with self._lock:
            if not self._is_withdrawn:
                self._child, self._number = child, number
                self._is_ordered = True
            return not self._is_withdrawn

    def detach(self) -> None:
        """The attempt is over: the child's next one is another's."""
        with self._lock:
            self._child = None

    def ask(self) -> None:
        with self._lock:
            if self._child:
                self._child.send(CancelRequested(self._number))

    def withdraw(self) -> bool:
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


class Slot:
    """A place for one attempt after another, in one child after another."""

    def __init__(self, recycling: Recycling, sender: type) -> None:
        self._recycling, self._sender = recycling, sender
        self._numbers = count(1)
        self._child: TaskProcess | None = None
        self._is_closed = False

    def execute(self, attempt: Attempt) -> Outcome:
        """Have the attempt executed in the child, and in a new one if that has died meanwhile."""
        for _ in range(SPAWNS):
            child = self._ready_child()
            if self._is_closed:
                return Released()
            if attempt.is_cancelled:
                return cancellation("The run was cancelled before it began.")
            if child and (outcome := self._executed(attempt, child)):
                return outcome
        error = TaskCrashed("No child process could be started; its standard error says why.")
        return Postponed(SPAWN_AGAIN_AFTER, error)

    def close(self) -> None:
        """No more attempts; what is executed is given back."""
        self._is_closed = True
        if child := self._child:
            child.kill()

    def end(self) -> None:
        """Let the child end, if there is one."""
        if child := self._child:
            self._child = None
            child.end()

    def _ready_child(self) -> "TaskProcess | None":
        """The child, or a new one; None if it could not be started."""
        try:
            if not self._child:
                self._child = TaskProcess()
                self._child.receive(ANSWER_WITHIN)
        except (EOFError, OSError) as error:
            logger.warning("A child process could not be started: %r", error)
            self.end()
        return self._child

    def _executed(self, attempt: Attempt, child: "TaskProcess") -> Outcome | None:
        """The outcome; None if the child was gone before the attempt began."""
        guard, number = attempt.guard, next(self._numbers)
        assert isinstance(guard, ChildGuard)  # noqa: S101
        if not guard.attach(child, number):
            return Released()
        try:
            child.send(self._order(attempt, number))
            return self._followed(attempt, child, number)
        except (EOFError, OSError):
            exit_code = child.end()
            return self._broken_off(attempt, exit_code) if attempt.began else None
        except BaseException:
            child.kill()  # who knows what else it would say
            raise
        finally:
            guard.detach()
            self._replace_if_due(child)

    def _broken_off(self, attempt: Attempt, exit_code: int) -> Outcome:
        if reason := attempt.guard.reason:
            return judge(attempt, reason.exception())
        return attempt.abandon() if self._is_closed else judge_crash(attempt, _crash(exit_code))

    def _order(self, attempt: Attempt, number: int) -> AttemptOrdered:
        return AttemptOrdered(
            number,
            attempt.run,
            attempt.worker_id,
            attempt.claimed,
            attempt.is_cancelled,
            self._sender,
        )

    def _followed(self, attempt: Attempt, child: "TaskProcess", number: int) -> Outcome:
        while True:
            match child.receive(ANSWER_WITHIN if attempt.began is None else None):
                case AttemptBegun():
                    attempt.begin()
                case ProgressReported(columns, changes):
                    written = partial(child.send, ProgressWritten(number, changes))
                    attempt.channel.adopt(columns, written)
                case AttemptEnded(outcome, memory):
                    child.tasks += 1
                    child.memory = memory
                    return outcome

    def _replace_if_due(self, child: "TaskProcess") -> None:
        if self._is_closed or child.is_dying or self._recycling.is_due(child.tasks, child.memory):
            self.end()


class TaskProcess:
    """One child process, and this end of the pipe to it."""

    def __init__(self) -> None:
        self.tasks = self.memory = 0
        self.is_dying = False
        self._sending = threading.Lock()
        self._connection, theirs = multiprocessing.Pipe()
        databases = {alias: str(connections[alias].settings_dict["NAME"]) for alias in connections}
        boot = json.dumps([theirs.fileno(), sys.path, databases])
        with theirs:
            # A process group of its own, so that Ctrl-C in a terminal reaches its worker alone.
            self._process = subprocess.Popen(  # noqa: S603 - our own words
                [sys.executable, "-c", BOOT, boot],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )

    def send(self, message: Any) -> None:
        """Say something, if it can still hear; that it cannot is seen when it is listened to."""
        with self._sending, suppress(OSError):
            self._connection.send(message)

    def receive(self, within: float | None = None) -> Any:
        """What it says next; raise EOFError or OSError if it has ended, or says nothing in time."""
        if within is not None and not self._connection.poll(within):
            raise TimeoutError(f"A child process says nothing for {within} s.")
        return self._connection.recv()

    def kill(self) -> None:
        """End it and what it has started, at once."""
        self.is_dying = True
        if self._process.poll() is None:  # or its number may be another's by now
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> int:
        """Let it end, and say with which code."""
        self.is_dying = True
        with self._sending:
            self._connection.close()
        try:
            return self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.wait()


def _crash(exit_code: int) -> TaskCrashed:
    if exit_code < 0:
        with suppress(ValueError):
            return TaskCrashed(f"Its process was ended by {signal.Signals(-exit_code).name}.")
    return TaskCrashed(f"Its process ended with exit code {exit_code}.")
