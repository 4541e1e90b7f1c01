"""The pool for tasks that are heavy or may crash: child processes."""

import json
import math
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import timedelta
from queue import SimpleQueue

from django.db import connections

from taskworks import real_time as time
from taskworks.exceptions import TaskCrashed
from taskworks.execution import Attempt, Outcome, Postponed, Released, cancellation, judge
from taskworks.logs import steady_logger
from taskworks.worker.piped_process import PipedProcess, exit_in_words
from taskworks.worker.pools.ordering import (
    ANSWER_TIMEOUT,
    ChildGuard,
    Orders,
    carry_out,
    outcome_of_death,
)
from taskworks.worker.pools.pool import Done, Pool

MAX_SPAWNS = 3  # tries to have a child that lives long enough to begin an attempt
SPAWN_AGAIN_AFTER = timedelta(seconds=10)
EXIT_TIMEOUT = 5.0  # seconds for a child to leave: for its exit handlers, and for its threads
DEATH_TIMEOUT = 1.0  # seconds for a child to end that has closed its pipe during an attempt
KILL_TIMEOUT = 1.0  # seconds more until a child that is killed has ended

PIPE_VARIABLE = "TASKWORKS_CHILD"  # in the environment: the number of the pipe's descriptor

# What the child does first. The app registry must be ready before anything of ours is imported.
BOOT = f"""
import json, os, sys
descriptor = int(os.environ.pop("{PIPE_VARIABLE}"))
path, databases, exit_timeout = json.loads(sys.argv[1])
sys.path[:] = path
import django
django.setup()
from django.db import connections
for alias, name in databases.items():
    connections.databases[alias]["NAME"] = name
from taskworks.worker.pools.child import work
work(descriptor, exit_timeout)
"""

logger = steady_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recycling:
    """After how many runs, and beyond how much memory in bytes, a child is replaced."""

    max_tasks: int | None = None
    max_memory: int | None = None

    def is_due(self, tasks: int, memory: int) -> bool:
        """Return whether a child that has executed ``tasks`` and uses ``memory`` is replaced."""
        return (self.max_tasks is not None and tasks >= self.max_tasks) or (
            self.max_memory is not None and memory > self.max_memory
        )


class ProcessPool(Pool):
    """At most ``size`` slots, each with a thread that orders attempts from its child."""

    def __init__(self, size: int, recycling: Recycling, sender: type, done: Done) -> None:
        super().__init__(size)
        self._recycling, self._sender, self._done = recycling, sender, done
        self._calls: SimpleQueue[bool] = SimpleQueue()  # True: look at what waits; False: end
        self._slots: list[Slot] = []
        self._threads: list[threading.Thread] = []
        self._ends_by = math.inf

    @property
    def ahead(self) -> int:
        """Always 0: attempts in child processes take long, or may crash."""
        return 0

    def _begin(self, count: int) -> None:
        for _ in range(count):
            self._calls.put(True)
        while len(self._slots) < min(max(self.size, 1), self._busy):
            slot = Slot(self._recycling, self._sender)
            self._slots.append(slot)
            name = f"taskworks-process-{len(self._slots)}"
            thread = threading.Thread(target=self._work, args=[slot], name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        self._ends_by = time.monotonic() + EXIT_TIMEOUT + KILL_TIMEOUT
        for slot in self._slots:
            self._calls.put(False)
            slot.close()

    def join(self) -> bool:
        """Wait for the children, which leave all at the same time."""
        for thread in self._threads:
            thread.join(max(0.0, self._ends_by - time.monotonic()))
        return super().join()

    def _work(self, slot: "Slot") -> None:
        while self._calls.get():
            if attempt := self._next():
                outcome = self._execute(attempt, slot)
                self.vacate()
                self._done(attempt, outcome)
                del attempt, outcome
        slot.end()

    def _execute(self, attempt: Attempt, slot: "Slot") -> Outcome:
        if self._is_stale(attempt):
            return Released()
        attempt.guarded_by(ChildGuard())
        try:
            return slot.execute(attempt)
        except BaseException as error:  # noqa: BLE001 - the thread must not end for it
            return judge(attempt, error)


class Slot:
    """Executes one attempt after another, in one child after another."""

    def __init__(self, recycling: Recycling, sender: type) -> None:
        self._recycling, self._sender = recycling, sender
        self._child: TaskProcess | None = None
        self._leaving: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._is_closed = self._is_busy = False

    def execute(self, attempt: Attempt) -> Outcome:
        """Execute the attempt in the child, or in a new one if that has died since its last one."""
        with self._lock:
            self._is_busy = True
        try:
            return self._execute_in_some_child(attempt)
        finally:
            with self._lock:
                self._is_busy = False

    def _execute_in_some_child(self, attempt: Attempt) -> Outcome:
        for _ in range(MAX_SPAWNS):
            child = self._ready_child()
            if self._is_closed:
                return Released()
            if attempt.is_cancelled:
                return cancellation("The run was cancelled before it began.")
            if child and (outcome := self._execute_in(child, attempt)):
                return outcome
        error = TaskCrashed("No child process could be started; its standard error says why.")
        return Postponed(SPAWN_AGAIN_AFTER, error)

    def close(self) -> None:
        """Begin no more attempts, and end the one that is executed, which is released."""
        with self._lock:
            self._is_closed = True
            child = self._child if self._is_busy else None
        if child:
            child.kill()

    def end(self) -> None:
        """Let the child leave, if there is one; return when all that were here have left."""
        self._let_go()
        for thread in self._leaving:
            thread.join()

    def _let_go(self) -> None:
        """Let the child leave. Neither an outcome nor the next child waits for that."""
        if child := self._child:
            self._child = None
            thread = threading.Thread(target=child.end, name="taskworks-leaving", daemon=True)
            thread.start()
            self._leaving = [*filter(threading.Thread.is_alive, self._leaving), thread]

    def _ready_child(self) -> "TaskProcess | None":
        """Return the child, or a new one; None if it could not be started."""
        try:
            if not self._child:
                self._child = TaskProcess(self._sender)
                self._child.receive(ANSWER_TIMEOUT)
        except (EOFError, OSError) as error:
            logger.warning("A child process could not be started: %r", error)
            self._let_go()
        return self._child

    def _execute_in(self, child: "TaskProcess", attempt: Attempt) -> Outcome | None:
        """Return the outcome; None if the child was dead before the attempt began."""
        try:
            return carry_out(attempt, child.orders, child)
        except (EOFError, OSError):
            how = exit_in_words(child.end(DEATH_TIMEOUT))
            return outcome_of_death(attempt, how, is_wanted=self._is_closed)
        finally:
            self._replace_if_due(child)

    def _replace_if_due(self, child: "TaskProcess") -> None:
        if self._is_closed or child.is_dying or self._recycling.is_due(child.tasks, child.memory):
            self._let_go()


class TaskProcess(PipedProcess):
    """A child process that executes attempts; ``child.py`` is what runs there."""

    mark = 0  # it has one order at a time

    def __init__(self, sender: type) -> None:
        self.tasks = self.memory = 0
        self.orders = Orders(self, sender)
        self.is_dying = False
        databases = {alias: str(connections[alias].settings_dict["NAME"]) for alias in connections}
        super().__init__(
            [sys.executable, "-c", BOOT, json.dumps([sys.path, databases, EXIT_TIMEOUT])],
            PIPE_VARIABLE,
            stdin=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        """End it and what it has started, at once."""
        self.is_dying = True
        self.kill_group()

    def end(self, within: float | None = None) -> int:
        """
        Let it leave ``within`` these seconds, by default as long as an exit may take, or else kill
        it; return its exit code.
        """
        self.is_dying = True
        self.close()
        return self.wait(EXIT_TIMEOUT if within is None else within)
