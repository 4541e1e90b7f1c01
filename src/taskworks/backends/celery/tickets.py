"""
The thread in which tickets leave, so that no caller waits for a broker, or hears of its failures:
without a ticket workers find the run when they look, every second or at least every five.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple
from uuid import uuid4

from taskworks import real_time as time
from taskworks.backends.celery.broker import Broker, Unreachable
from taskworks.backends.celery.celery_app import app_of
from taskworks.backends.celery.queue_names import celery_queue, known_queues
from taskworks.backends.celery.ticket import Ticket
from taskworks.backends.celery.weather import Weather
from taskworks.database.importing import no_fork
from taskworks.framework import task_backends

MAX_WAITING = 10_000  # tickets of a backend; one more is dropped
MAX_AGE = 5.0  # seconds; workers have looked for themselves since an older one
MAX_QUEUES_REMEMBERED = 1000
EVERYWHERE_INTERVAL = 0.1  # seconds between two rounds of tickets for every queue
MAX_EVERYWHERE = 1000  # tickets of such a round
IDLE = 60.0  # seconds without a ticket, then the connection is closed


class Waiting(NamedTuple):
    """A ticket that waits to be sent, or for how many runs every queue is to get some."""

    what: Ticket | int
    since: float


class Tickets:
    """The tickets of a backend. Their thread begins with the first of them."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._waiting: SimpleQueue[Waiting | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._beginning = threading.Lock()
        self._is_ending = threading.Event()
        self._has_ended = threading.Event()
        # Of the thread alone.
        self._broker = Broker()
        self._weather = Weather(f"the broker of the backend {alias!r}")
        self._seen: dict[str, Weather] = {}  # of each queue that had tickets
        self._everywhere = 0  # for how many runs every queue is to get tickets
        self._next_everywhere = 0.0

    # Called in any thread.

    def add(self, tickets: Iterable[Ticket | int]) -> None:
        """
        Have tickets sent; a number is for how many runs every queue gets some, because nobody knows
        which has them. Those for which there is no place are dropped.
        """
        now = time.monotonic()
        for ticket in tickets:
            if self._waiting.qsize() >= MAX_WAITING:
                break
            self._waiting.put(Waiting(ticket, now))
        self._begin()

    def end(self) -> threading.Event | None:
        """
        Have the thread end when it has sent what waits. Return what is set then; None if it does
        not live.
        """
        if not self._lives:
            return None
        self._is_ending.set()
        self._waiting.put(None)
        return self._has_ended

    def abandon(self) -> None:
        """Forget what belongs to the process that has forked this one."""
        self._broker.abandon()

    @property
    def _lives(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _begin(self) -> None:
        """Begin the thread, unless it lives, or another caller is beginning it."""
        if self._lives or not self._beginning.acquire(blocking=False):
            return
        try:
            thread = threading.Thread(target=self._run, name="taskworks-tickets", daemon=True)
            with suppress(RuntimeError):  # there are too many, or the interpreter is shutting down
                thread.start()
                self._thread = thread
        finally:
            self._beginning.release()

    # Called in the thread.

    def _run(self) -> None:
        try:
            while not self._may_end():
                self._step()
        finally:
            self._broker.close()
            self._has_ended.set()

    def _may_end(self) -> bool:
        is_over = self._weather.is_bad or (self._waiting.empty() and not self._everywhere)
        return self._is_ending.is_set() and is_over

    def _step(self) -> None:
        waiting = self._next()
        if waiting is None and not self._everywhere:
            self._broker.close()
            return
        try:
            for ticket in self._tickets_of(waiting):
                self._send(ticket)
        except Exception as error:  # noqa: BLE001 - a project's app may raise anything
            self._weather.note_failure(error)
            self._is_ending.wait(self._weather.clears_in)

    def _next(self) -> Waiting | None:
        """Return what waits next; None if nothing does, for long."""
        patience = IDLE
        if self._everywhere:
            patience = max(0.0, self._next_everywhere - time.monotonic())
        try:
            return self._waiting.get(timeout=patience)
        except Empty:
            return None

    def _tickets_of(self, waiting: Waiting | None) -> Iterator[Ticket]:
        """Yield the tickets to send now."""
        now = time.monotonic()
        match waiting:
            case Waiting(int() as runs):
                self._everywhere = max(self._everywhere, runs)
            case Waiting(Ticket() as ticket, since) if now - since < MAX_AGE:
                yield ticket
        if self._everywhere and now >= self._next_everywhere:
            self._next_everywhere = now + EVERYWHERE_INTERVAL
            most, self._everywhere = self._everywhere, 0
            yield from self._for_every_queue(most)

    def _for_every_queue(self, most: int) -> Iterator[Ticket]:
        """Yield tickets for so many runs for each queue, but not too many in all."""
        backend = task_backends[self._alias]
        with no_fork():
            app = app_of(backend)
        names = [*known_queues(backend, app), *self._seen]
        queues = {celery_queue(backend, app, name): name for name in names}
        for name in queues.values():
            for _ in range(min(most, max(1, MAX_EVERYWHERE // len(queues)))):
                yield Ticket(name, str(uuid4()))

    def _send(self, ticket: Ticket) -> None:
        """Send a ticket, unless its queue was refused a moment ago."""
        backend = task_backends[self._alias]
        with no_fork():
            app = app_of(backend)
            self._broker.prepare(app)
        queue = celery_queue(backend, app, ticket.queue_name)
        weather = self._weather_of(ticket.queue_name, queue)
        if weather.clears_in:
            return
        try:
            self._broker.send(queue, ticket)
        except Unreachable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with this queue
            weather.note_failure(error)
        else:
            weather.note_success()
        self._weather.note_success()

    def _weather_of(self, name: str, queue: str) -> Weather:
        if name not in self._seen:
            if len(self._seen) >= MAX_QUEUES_REMEMBERED:
                self._seen.clear()
            self._seen[name] = Weather(f"the queue {queue!r} of the backend {self._alias!r}")
        return self._seen[name]
