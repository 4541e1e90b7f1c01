"""
The worker: claim -> submit -> wait, in one thread that does all the writing.

Its threads and its event loop execute; what became of an attempt comes back through the inbox.
"""

import logging
import os
import platform
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import cast
from uuid import UUID, uuid4

from django.db import Error as DatabaseError

from taskworks.execution import Attempt, Failed, Outcome, Postponed, prepare
from taskworks.execution.executor import tidy_connections
from taskworks.framework import BaseTaskBackend
from taskworks.maintenance.promote import promote
from taskworks.models import TaskRun
from taskworks.models import Worker as WorkerRow
from taskworks.signals import announce, task_finished
from taskworks.store import Store, store
from taskworks.worker.heartbeat import Heartbeat
from taskworks.worker.observer import Observer
from taskworks.worker.pools import Pools
from taskworks.worker.queues import Queues
from taskworks.worker.shutdown import Shutdown, Stage
from taskworks.worker.weather import Weather

WRITE_START_AFTER = 0.05  # seconds; a shorter attempt's start is written with its finish
SHORTEST_PAUSE = 0.02  # seconds between two looks at empty queues, just after there was work
LONGEST_WAIT = 1.0  # seconds in which a worker looks up, whatever it waits for

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a worker takes, and how much of it at once."""

    queues: Queues
    threads: int = 4
    async_slots: int = 100
    interval: float = 1.0  # seconds between two looks at queues that stay empty
    batch: bool = False  # stop when nothing is ready and nothing runs
    max_tasks: int | None = None  # stop after so many runs
    label: str = ""


class Worker:
    """One worker process of a backend; ``run`` returns when its work is done."""

    def __init__(
        self, backend: BaseTaskBackend, options: Options, observer: Observer | None = None
    ) -> None:
        self.backend, self.options = backend, options
        self.label = options.label or f"{platform.node()[:40]}-{os.getpid()}-{uuid4().hex[:8]}"
        self.id = uuid4()
        self.observer = observer or Observer()
        self.shutdown = Shutdown()
        self.abandoned: list[Attempt] = []
        self._store: Store = store()
        self._inbox: SimpleQueue[tuple[Attempt, Outcome] | None] = SimpleQueue()
        self._pools = Pools(options.threads, options.async_slots, type(backend), self._receive)
        self._heartbeat = Heartbeat(self._store, lambda: self.id, self._register_anew)
        self._weather = Weather()
        self._in_hand: dict[UUID, Attempt] = {}
        self._ended: list[Attempt] = []
        self._claimed = 0
        self._found_nothing = False
        self._pause = min(SHORTEST_PAUSE, options.interval)
        self._next_look = self._next_promotion = 0.0

    def run(self) -> None:
        """Work until told to stop, or until a batch or ``max_tasks`` is done."""
        self._register()
        self._heartbeat.start()
        self.observer.begins(self.label, str(self.options.queues))
        try:
            while not self._is_done():
                self._turn()
            self._abandon()
        finally:
            self._pools.close()
            self._heartbeat.stop()
            self._leave()
            self.observer.ended(len(self.abandoned))
            self.shutdown.over.set()

    def stop(self) -> None:
        """Drain; asked again, release. Safe in a signal handler, and from any thread."""
        self.shutdown.ask()
        self._inbox.put(None)

    # One turn.

    def _turn(self) -> None:
        try:
            self._record()
            self._take_up()
            self._take_stock()
        except DatabaseError as error:
            tidy_connections()
            seconds = self._weather.bad(error)
        else:
            seconds = self._seconds_to_wait()
        self._wait(seconds)

    def _record(self) -> None:
        """Write what has ended, and that what takes longer has begun."""
        self._write_finishes()
        self._write_starts()

    def _take_up(self) -> None:
        """Claim what can start at once, and submit it."""
        wanted = self._wanted()
        if not wanted or time.monotonic() < self._next_look:
            return
        self._promote()
        runs = self._claim(wanted)
        for run in runs:
            self._submit(run)
        self._plan_next_look(found=len(runs), wanted=wanted)

    def _take_stock(self) -> None:
        """After a storm: a claim may have been made whose answer never came."""
        if self._weather.good():
            self._store.release_strays(self.id, self._in_hand)

    def _wait(self, seconds: float) -> None:
        """Until something comes in, or so long; then take in all that has come."""
        try:
            message = self._inbox.get(timeout=seconds) if seconds > 0 else self._inbox.get_nowait()
            while True:
                self._take_in(message)
                message = self._inbox.get_nowait()
        except Empty:
            pass

    # Claiming.

    def _wanted(self) -> int:
        if self.shutdown.stage > Stage.WORKING:
            return 0
        left = self.options.max_tasks
        free = self._pools.free
        return free if left is None else min(free, left - self._claimed)

    def _promote(self) -> None:
        now = time.monotonic()
        if now >= self._next_promotion:
            promote(self._store)
            self._next_promotion = now + min(self.options.interval, LONGEST_WAIT)

    def _claim(self, wanted: int) -> list[TaskRun]:
        queues = self.options.queues.to_claim(self._store, self.backend.alias)
        if not queues:
            return []
        runs = self._store.claim(self.id, self.backend.alias, queues, wanted)
        self._claimed += len(runs)
        return runs

    def _submit(self, run: TaskRun) -> None:
        attempt = Attempt(run, self.label)
        self._in_hand[run.id] = attempt
        if outcome := prepare(attempt):
            self._receive(attempt, outcome)
        else:
            self._pools.submit(attempt)

    def _plan_next_look(self, *, found: int, wanted: int) -> None:
        """At once where there was more than could be taken; ever later where there is nothing."""
        self._found_nothing = not self._in_hand
        if found == wanted:
            self._next_look = 0.0
        else:
            self._next_look = time.monotonic() + self._pause
            self._pause = min(self._pause * 2, self.options.interval)

    # What comes back.

    def _receive(self, attempt: Attempt, outcome: Outcome) -> None:
        # Called in the thread that executed.
        self._inbox.put((attempt, outcome))

    def _take_in(self, message: tuple[Attempt, Outcome] | None) -> None:
        if message is None:
            self.observer.stopping(len(self._in_hand))
            return
        attempt, outcome = message
        attempt.end(outcome)
        self._ended.append(attempt)
        self._pause = min(SHORTEST_PAUSE, self.options.interval)

    def _write_finishes(self) -> None:
        for attempt in [ended for ended in self._ended if isinstance(ended.outcome, Postponed)]:
            self._postpone(attempt)
        if not self._ended:
            return
        written = self._store.finish([attempt.run for attempt in self._ended])
        finished, self._ended = self._ended, []
        for attempt in finished:
            del self._in_hand[attempt.run.id]
            self._announce(attempt) if attempt.run.id in written else self._lose(attempt)

    def _postpone(self, attempt: Attempt) -> None:
        outcome = cast(Postponed, attempt.outcome)
        self._store.postpone(attempt.run, outcome.delay)
        self._ended.remove(attempt)
        del self._in_hand[attempt.run.id]
        self._claimed -= 1
        logger.warning("%s Run %s waits for it.", outcome.reason, attempt.run.id)

    def _announce(self, attempt: Attempt) -> None:
        """Send the standard's signal; its log line takes a failure's traceback from the context."""
        result = attempt.result()
        if isinstance(attempt.outcome, Failed):
            try:
                raise attempt.outcome.exception
            except BaseException:  # noqa: BLE001 - whatever the task raised
                announce(task_finished, type(self.backend), result)
        else:
            announce(task_finished, type(self.backend), result)
        self.observer.finished(attempt)

    def _lose(self, attempt: Attempt) -> None:
        logger.error(
            "The outcome of run %s (%s) is lost: this worker was given up, and the run with it.",
            attempt.run.id,
            attempt.run.task_path,
        )

    def _write_starts(self) -> None:
        begun = [attempt for attempt in self._in_hand.values() if self._start_is_due(attempt)]
        if not begun:
            return
        self._store.start([attempt.run for attempt in begun])
        for attempt in begun:
            attempt.start_written = True

    def _start_is_due(self, attempt: Attempt) -> bool:
        return attempt.begun and not attempt.start_written and attempt.age > WRITE_START_AFTER

    # Waiting.

    def _seconds_to_wait(self) -> float:
        now = time.monotonic()
        waits = [LONGEST_WAIT]
        if self._wanted():
            waits.append(self._next_look - now)
        if any(not attempt.start_written for attempt in self._in_hand.values()):
            waits.append(WRITE_START_AFTER / 2)
        return max(0.0, min(waits))

    def _is_done(self) -> bool:
        if self.shutdown.stage is Stage.RELEASING:
            return True
        return not self._in_hand and self._has_no_more_to_take()

    def _has_no_more_to_take(self) -> bool:
        if self.shutdown.stage is Stage.DRAINING:
            return True
        if self.options.max_tasks is not None and self._claimed >= self.options.max_tasks:
            return True
        return self.options.batch and self._found_nothing

    # Coming and going.

    def _register(self) -> None:
        row = WorkerRow(id=self.id, label=self.label, hostname=platform.node(), pid=os.getpid())
        self._store.register(row)

    def _register_anew(self) -> None:
        given_up, self.id = self.id, uuid4()
        logger.warning("Worker %s was given up for dead; it goes on as %s.", given_up, self.id)
        self._register()

    def _abandon(self) -> None:
        """Give back what still runs: its attempt does not count, and its outcome is fenced off."""
        left = list(self._in_hand.values())
        for attempt in left:
            attempt.undo()
        if left:
            self._store.release([attempt.run for attempt in left])
        self.abandoned = [attempt for attempt in left if attempt.begun]

    def _leave(self) -> None:
        try:
            self._store.leave(self.id)
        except DatabaseError as error:
            logger.warning("The worker could not sign off: %s", error)
