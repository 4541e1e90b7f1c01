"""
The supervisor: a process that starts worker processes, and replaces those that die.

Each has a pipe whose end tells either side of the other's death; the worker's side of it is in
``lifeline.py``. A worker that is frozen, but not dead, is not seen here: the heartbeats of other
workers see it.
"""

import math
import multiprocessing.connection
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from uuid import UUID, uuid4

from taskworks import real_time as time
from taskworks.conf import conf
from taskworks.database.background import BackgroundThread
from taskworks.database.outage import GrowingPause
from taskworks.duties.rescue import give_up_dead, rescue
from taskworks.logs import steady_logger
from taskworks.statistics.collector import Collector, NoCollector
from taskworks.statistics.flushing import Flushing
from taskworks.store import Store
from taskworks.worker.piped_process import PipedProcess, exit_in_words
from taskworks.worker.supervision.lifeline import NUMBER_VARIABLE, PIPE_VARIABLE

SHORT_LIFE = 10.0  # seconds; a worker that dies within them is replaced ever more slowly
SHORTEST_RESTART_PAUSE, LONGEST_RESTART_PAUSE = 0.5, 30.0  # seconds between two such workers
KILL_AFTER = 20.0  # seconds that a worker may be late in stopping, before it is killed
LAST_RESCUE_TIMEOUT = 5.0  # seconds that a rescue under way may delay the end

logger = steady_logger(__name__)


class Supervisor:
    """
    Keeps ``number`` worker processes alive until it is asked to stop; ``stop`` may be called from
    a signal handler. A worker that ends without an error has done its work if the workers
    ``end_by_themselves``, and is replaced otherwise.
    """

    def __init__(
        self, store: Store, command: Sequence[str], number: int, *, end_by_themselves: bool
    ) -> None:
        self._command = command
        self._end_by_themselves = end_by_themselves
        self._slots = [WorkerSlot(one) for one in range(1, number + 1)]
        self._rescuer = Rescuer(store)
        self._times_asked = 0
        self._deadline = math.inf
        self._exit_code = 0
        self._has_worked = False

    def stop(self) -> None:
        """Ask every worker to stop; the second time, to do so at once."""
        self._times_asked += 1

    def run(self) -> int:
        """Start the workers; return when all have ended, with the exit code that says how."""
        logger.info(
            "The supervisor (pid %d) starts %d worker processes.", os.getpid(), len(self._slots)
        )
        self._rescuer.start()
        with _bell() as bell:
            self._look_after()
            while any(slot.is_open for slot in self._slots):
                self._wait(bell)
                self._pass_on_stops()
                self._look_after()
        self._rescuer.stop()
        logger.info("The supervisor (pid %d) has stopped.", os.getpid())
        return self._exit_code

    # Stop.

    def _pass_on_stops(self) -> None:
        times, now = min(self._times_asked, 2), time.monotonic()
        if times and self._deadline == math.inf:
            self._deadline = now + conf().shutdown_timeout + KILL_AFTER
        if times == 2:
            self._deadline = min(self._deadline, now + KILL_AFTER)
        for slot in self._slots:
            if slot.process:
                slot.process.ask_to_stop(times)
                if now >= self._deadline:
                    slot.process.kill()
            elif times:
                slot.is_open = False

    # Start, and look after what was started.

    def _look_after(self) -> None:
        for slot in self._slots:
            if slot.process:
                self._hear(slot.process)
                if (exit_code := slot.process.exit_code) is not None:
                    self._ended(slot, slot.process, exit_code)
            if slot.is_due and not self._times_asked:
                slot.start(self._command)

    def _hear(self, process: "WorkerProcess") -> None:
        process.hear()
        self._has_worked |= process.worker is not None

    def _ended(self, slot: "WorkerSlot", process: "WorkerProcess", exit_code: int) -> None:
        slot.process = None
        process.close()
        if process.worker:  # one that has signed off has no row any more
            self._rescuer.add(process.worker)
        if self._times_asked:
            slot.is_open = False
            self._note_end(process, exit_code)
        elif exit_code > 0 and not self._has_worked:
            self._could_not_start(exit_code)
        elif exit_code == 0 and self._end_by_themselves:
            slot.is_open = False
        else:
            pause = slot.plan(process.age)
            logger.warning(
                "Worker process %s %s; another takes its place %s.",
                process.pid,
                exit_in_words(exit_code),
                f"in {pause:.1f} s" if pause >= 1 else "now",
            )

    def _note_end(self, process: "WorkerProcess", exit_code: int) -> None:
        if exit_code not in (0, -signal.SIGTERM):
            logger.warning(
                "Worker process %s, asked to stop, %s.", process.pid, exit_in_words(exit_code)
            )
            self._exit_code = self._exit_code or 1

    def _could_not_start(self, exit_code: int) -> None:
        self._exit_code = exit_code
        self.stop()

    # Wait.

    def _wait(self, bell: int) -> None:
        """Wait for a signal, a worker's message, or the moment at which something is due."""
        processes = [slot.process for slot in self._slots if slot.process]
        connections = [process.connection for process in processes if process.is_heard]
        moments = [slot.starts_at for slot in self._slots if slot.is_open and not slot.process]
        seconds = max(0.0, min([*moments, self._deadline]) - time.monotonic())
        multiprocessing.connection.wait(
            [bell, *connections], None if seconds == math.inf else seconds
        )
        with suppress(BlockingIOError):
            os.read(bell, 1024)


class WorkerSlot:
    """A place for one worker process after another; they have a number in common."""

    def __init__(self, number: int = 1) -> None:
        self._number = number
        self.process: WorkerProcess | None = None
        self.is_open = True
        self.starts_at = 0.0
        self._has_short_lives = False
        self._pause = GrowingPause(SHORTEST_RESTART_PAUSE, LONGEST_RESTART_PAUSE)

    @property
    def is_due(self) -> bool:
        """True if a process is to be started."""
        return self.is_open and not self.process and self.starts_at <= time.monotonic()

    def start(self, command: Sequence[str]) -> None:
        """Start a process, or plan another try if the system has none left."""
        try:
            self.process = WorkerProcess(command, self._number)
        except OSError as error:
            pause = self.plan(0.0)
            logger.warning("No worker process could be started: %s; again in %g s.", error, pause)

    def plan(self, age: float) -> float:
        """
        Plan the next process, after one that has lived for ``age`` seconds; return the seconds
        until then. Only the second short life in a row makes a pause.
        """
        pause = 0.0
        if age >= SHORT_LIFE:
            self._pause.reset()
        elif self._has_short_lives:
            pause = self._pause.take()
        self._has_short_lives = age < SHORT_LIFE
        self.starts_at = time.monotonic() + pause
        return pause


class WorkerProcess(PipedProcess):
    """
    One worker process. It sends the ids by which its worker lives, and receives how often it has
    been asked to stop.
    """

    def __init__(self, command: Sequence[str], number: int = 1) -> None:
        self.worker: UUID | None = None
        self.is_heard = True
        self._times_asked = 0
        self._began = time.monotonic()
        super().__init__(command, PIPE_VARIABLE, {NUMBER_VARIABLE: str(number)})

    @property
    def age(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self._began

    def hear(self) -> None:
        """Take in the ids that it has sent."""
        try:
            while self.is_heard and self.connection.poll():
                self.worker = self.receive()
        except (EOFError, OSError):
            self.is_heard = False

    def ask_to_stop(self, times: int) -> None:
        """Ask it to stop, if it was not asked as often before."""
        if self._times_asked >= times:
            return
        self._times_asked = times
        self.send(times)
        if not self.worker:
            # It may be importing the project still, and has nothing to lose.
            self.terminate()


class Rescuer(BackgroundThread):
    """
    Gives up workers whose processes have died, and rescues their runs: in a thread, so that a
    database that does not answer keeps nobody from stopping.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        super().__init__("rescuer", store.alias, "rescuing the runs of dead workers")
        self.stop_timeout = LAST_RESCUE_TIMEOUT
        self._dead: deque[UUID] = deque()
        self._collector = Collector() if conf().statistics else NoCollector()
        self._flushing = Flushing(self._store, self._collector, uuid4, conf().heartbeat_interval)

    def add(self, worker: UUID) -> None:
        """Give up this dead worker soon, and rescue its runs. Called in any thread."""
        self._dead.append(worker)
        self.wake()

    def run(self) -> None:
        super().run()
        self.try_step()  # the last ones, whatever comes of it

    def step(self) -> float:
        while self._dead:
            worker = self._dead.popleft()
            try:
                give_up_dead(self._store, worker)
                rescue(self._store, tell=self._collector.rescued)
                self._flushing.flush()
            except BaseException:
                self._dead.appendleft(worker)
                raise
        return math.inf


@contextmanager
def _bell() -> Iterator[int]:
    """Give a descriptor that can be read when a signal has come, or a child process has ended."""
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
