"""
A process that starts others, each a worker, and sees to it that they live.

They are spawned, never forked. Each has a pipe whose end tells either side of the other's death;
the worker's side of it is in ``lifeline.py``.
"""

import math
import multiprocessing
import multiprocessing.connection
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from uuid import UUID

from django.db import Error as DatabaseError
from django.db import connections

from taskworks.conf import conf
from taskworks.database.outage import Outage
from taskworks.duties.rescue import give_up_dead, rescue
from taskworks.logs import steady_logger
from taskworks.store import store
from taskworks.worker.supervision.lifeline import VARIABLE

SOON = 10.0  # seconds; a child that dies within them is replaced ever more slowly
SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between two such children
PATIENCE = 20.0  # seconds that a child may be late in stopping, before it is killed
LAST_RESCUE = 5.0  # seconds that a rescue under way may hold up the end

logger = steady_logger(__name__)


class Supervisor:
    """
    Keeps ``number`` worker processes alive, until it is asked to stop; ``stop`` may be called from
    a signal handler. One that ends well has done its work if they ``end_by_themselves``, and is
    replaced otherwise.
    """

    def __init__(self, command: Sequence[str], number: int, *, end_by_themselves: bool) -> None:
        self._command = command
        self._end_by_themselves = end_by_themselves
        self._slots = [WorkerSlot() for _ in range(number)]
        self._rescuer = Rescuer()
        self._asked = 0
        self._deadline = math.inf
        self._patience = conf().shutdown_timeout + PATIENCE
        self._code = 0
        self._has_worked = False

    def stop(self) -> None:
        """Ask every worker to stop; the second time, to do so at once."""
        self._asked += 1

    def run(self) -> int:
        """Start the workers; return when all have ended, with the exit code that says how."""
        self._rescuer.start()
        with _bell() as bell:
            self._look_after()
            while any(place.is_open for place in self._slots):
                self._wait(bell)
                self._pass_on_stops()
                self._look_after()
        self._rescuer.finish()
        return self._code

    # Stop.

    def _pass_on_stops(self) -> None:
        times = min(self._asked, 2)
        if times and self._deadline == math.inf:
            self._deadline = time.monotonic() + self._patience
        if times == 2:
            self._deadline = min(self._deadline, time.monotonic() + PATIENCE)
        is_late = time.monotonic() >= self._deadline
        for place in self._slots:
            if place.child:
                place.child.ask(times)
                if is_late:
                    place.child.kill()
            elif times:
                place.is_open = False

    # Start, and look after what was started.

    def _look_after(self) -> None:
        for place in self._slots:
            if place.child:
                self._hear(place.child)
                if (code := place.child.code) is not None:
                    self._ended(place, place.child, code)
            if place.is_due and not self._asked:
                place.start(self._command)

    def _hear(self, child: "WorkerProcess") -> None:
        child.hear()
        self._has_worked |= child.worker is not None

    def _ended(self, place: "WorkerSlot", child: "WorkerProcess", code: int) -> None:
        place.child = None
        child.close()
        if child.worker:  # one that has signed off has no row any more
            self._rescuer.give_up(child.worker)
        if self._asked:
            place.is_open = False
            self._note_end(child, code)
        elif code > 0 and not self._has_worked:
            self._could_not_start(code)
        elif code == 0 and self._end_by_themselves:
            place.is_open = False
        else:
            pause = place.plan(child.age)
            logger.warning(
                "Worker process %s %s; another takes its place in %s s.",
                child.pid,
                _told(code),
                f"{pause:g}",
            )

    def _note_end(self, child: "WorkerProcess", code: int) -> None:
        if code not in (0, -signal.SIGTERM):
            logger.warning("Worker process %s, asked to stop, %s.", child.pid, _told(code))
            self._code = self._code or 1

    def _could_not_start(self, code: int) -> None:
        self._code = code
        self.stop()

    # Wait.

    def _wait(self, bell: int) -> None:
        """Until a signal comes, a child says something, or it is time for something."""
        connections = [p.child.connection for p in self._slots if p.child and p.child.is_heard]
        moments = [place.starts_at for place in self._slots if place.is_open and not place.child]
        seconds = max(0.0, min([*moments, self._deadline]) - time.monotonic())
        multiprocessing.connection.wait(
            [bell, *connections], None if seconds == math.inf else seconds
        )
        with suppress(BlockingIOError):
            os.read(bell, 1024)


class WorkerSlot:
    """A place for one worker process after another."""

    def __init__(self) -> None:
        self.child: WorkerProcess | None = None
        self.is_open = True
        self.starts_at = 0.0
        self._soon_gone = 0  # children, one after the other

    @property
    def is_due(self) -> bool:
        """Whether a child is to be started."""
        return self.is_open and not self.child and self.starts_at <= time.monotonic()

    def start(self, command: Sequence[str]) -> None:
        try:
            self.child = WorkerProcess(command)
        except OSError as error:  # no process, or no memory, is left
            pause = self.plan(0.0)
            logger.warning("No worker process could be started: %s; again in %g s.", error, pause)

    def plan(self, age: float) -> float:
        """Plan the next child, after one that has come to this age; in how many seconds."""
        self._soon_gone = self._soon_gone + 1 if age < SOON else 0
        pause = min(SHORTEST_PAUSE * 2.0 ** min(self._soon_gone - 2, 10), LONGEST_PAUSE)
        pause = pause if self._soon_gone > 1 else 0.0
        self.starts_at = time.monotonic() + pause
        return pause


class WorkerProcess:
    """One worker process, and this end of the pipe to it."""

    def __init__(self, command: Sequence[str]) -> None:
        self.worker: UUID | None = None
        self.is_heard = True
        self._asked = 0
        self._began = time.monotonic()
        self.connection, theirs = multiprocessing.Pipe()
        with _closed_on_error(self.connection), theirs:
            # A process group of its own, so that Ctrl-C in a terminal reaches the supervisor alone.
            self._process = subprocess.Popen(  # noqa: S603 - this very command
                command,
                env={**os.environ, VARIABLE: str(theirs.fileno())},
                pass_fds=[theirs.fileno()],
                process_group=0,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def age(self) -> float:
        """In seconds."""
        return time.monotonic() - self._began

    @property
    def code(self) -> int | None:
        """Its exit code; None while it lives."""
        return self._process.poll()

    def hear(self) -> None:
        """Take in what it has said: by which id its worker lives."""
        try:
            while self.is_heard and self.connection.poll():
                self.worker = UUID(bytes=self.connection.recv_bytes())
        except (EOFError, OSError):
            self.is_heard = False

    def ask(self, times: int) -> None:
        """Ask it to stop, if it was not asked so often before."""
        if self._asked >= times:
            return
        self._asked = times
        with suppress(OSError):  # it has ended, or is about to
            self.connection.send_bytes(bytes([times]))
        if not self.worker:
            # It may be importing the project still, and has nothing to lose.
            self._process.terminate()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def close(self) -> None:
        self.connection.close()


class Rescuer(threading.Thread):
    """
    Gives up workers that have surely died, and has their runs made ready: in a thread, so that a
    database that does not answer keeps nobody from stopping.
    """

    def __init__(self) -> None:
        super().__init__(name="taskworks-rescuer", daemon=True)
        self._dead: SimpleQueue[UUID | None] = SimpleQueue()
        self._is_over = threading.Event()
        self._outage = Outage()

    def give_up(self, worker: UUID) -> None:
        self._dead.put(worker)

    def finish(self) -> None:
        """Do what is to be done, if that does not take long."""
        self._dead.put(None)
        self._is_over.set()
        self.join(LAST_RESCUE)

    def run(self) -> None:
        while worker := self._dead.get():
            while (pause := self._rescued(worker)) is not None:
                if self._is_over.wait(pause):
                    return

    def _rescued(self, worker: UUID) -> float | None:
        """Try; the seconds to wait before the next try, None if there is no need of one."""
        try:
            give_up_dead(store(), worker)
            rescue(store())
        except DatabaseError as error:
            return self._outage.note_error(error)
        except Exception:  # a worker that is alive will do it
            logger.exception("The runs of worker %s could not be rescued at once.", worker)
        else:
            self._outage.clear()
        finally:
            connections.close_all()
        return None


@contextmanager
def _bell() -> Iterator[int]:
    """A descriptor that can be read when a signal has come, the end of a child included."""
    hears, rings = os.pipe()
    os.set_blocking(hears, False)
    os.set_blocking(rings, False)
    before = signal.set_wakeup_fd(rings, warn_on_full_buffer=False)
    previous = signal.signal(signal.SIGCHLD, lambda number, frame: None)
    try:
        yield hears
    finally:
        signal.signal(signal.SIGCHLD, previous)
        signal.set_wakeup_fd(before)
        os.close(hears)
        os.close(rings)


@contextmanager
def _closed_on_error(connection: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _told(code: int) -> str:
    """How a process ended."""
    if code >= 0:
        return f"ended with exit code {code}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"
