"""How a worker hears of new runs by the tickets that Celery consumes."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from celery import Task

from taskworks.backends.celery.ticket import TASK_NAME
from taskworks.celery_worker.main_thread import MainThread
from taskworks.worker.claiming import WakeUpSource

LONGEST_HOLD = 60.0  # seconds; RabbitMQ closes the channel of who holds a message for half an hour


class TicketTask(Task):  # type: ignore[misc] # Celery has no types
    """What Celery knows by the name of the tickets. It is never called."""

    name = TASK_NAME
    ignore_result = True
    acks_late = False
    rate_limit = None
    Strategy = "taskworks.celery_worker.tickets:strategy"


def strategy(task: TicketTask, app: Any, consumer: Any) -> Callable[..., None]:
    """Return what Celery calls with each ticket, in the main thread."""

    def hear(message: Any, *of_celery: Any, **options: Any) -> None:
        consumer.controller.taskworks.hear(Ticket(message))

    return hear


@dataclass(slots=True, eq=False)
class Ticket:
    """A message that says that a queue has runs. Nothing in it is read: anybody can send one."""

    message: Any

    @property
    def is_held(self) -> bool:
        return self.message is not None

    def acknowledge(self) -> None:
        """Have the broker forget it, unless it has. Called in the main thread."""
        message, self.message = self.message, None
        if message is not None:
            with suppress(Exception):  # its connection is gone: it comes again, and finds nothing
                message.ack()


class HeldTickets:
    """
    The tickets of the last minute, for all desks. Older ones are acknowledged by Celery's timer,
    whether or not a desk has looked: none looks while its database is down.
    """

    def __init__(self, main_thread: MainThread) -> None:
        self._main_thread = main_thread
        self._older: list[Ticket] = []
        self._newer: list[Ticket] = []

    def begin(self, timer: Any) -> None:
        """Look at them in time. That timer may have a thread of its own."""
        # One call for all: the event loop makes ten calls in a turn, with heartbeats among them.
        call_soon, arguments = self._main_thread.call_soon, (self._acknowledge_older,)
        timer.call_repeatedly(LONGEST_HOLD / 2, call_soon, arguments)

    def add(self, ticket: Ticket) -> None:
        self._newer.append(ticket)

    def _acknowledge_older(self) -> None:
        older, self._older, self._newer = self._older, self._newer, []
        _acknowledge(older)


class TicketSource:
    """
    The ``WakeUpSource`` of a Celery worker: tickets, beside what the database itself tells. A
    ticket is acknowledged after the look that followed, whatever that has found; but not while
    Celery's pool has no room, so that the broker keeps the next ones for others.
    """

    def __init__(
        self,
        beside: WakeUpSource,
        wake_worker: Callable[[], None],
        main_thread: MainThread,
        has_room: Callable[[], bool],
        do_come: Callable[[], bool],
    ) -> None:
        """``do_come`` returns whether tickets come, and nothing better tells of new runs."""
        self._beside, self._wake_worker, self._main_thread = beside, wake_worker, main_thread
        self._has_room, self._do_come = has_room, do_come
        self._unread: deque[Ticket] = deque()
        self._read: list[Ticket] = []

    @property
    def works(self) -> bool:
        return self._beside.works or self._do_come()

    @property
    def misses_nothing(self) -> bool:
        # Not by tickets: each goes to one node, which may have no room, and some are lost.
        return self._beside.works and self._beside.misses_nothing

    def start(self) -> None:
        self._beside.start()

    def stop(self) -> None:
        self._beside.stop()

    def hear(self, ticket: Ticket) -> None:
        """Wake the worker for this ticket, in the main thread."""
        self._unread.append(ticket)
        self._wake_worker()

    def take(self) -> set[str | None]:
        self._acknowledge()
        news = self._beside.take()
        if not self._unread:
            return news
        self._read = [ticket for ticket in self._read if ticket.is_held]
        with suppress(IndexError):
            while True:
                self._read.append(self._unread.popleft())
        self._wake_worker()  # to acknowledge them, after the look that comes now
        return news | {None}

    def _acknowledge(self) -> None:
        if self._read and self._has_room():
            read, self._read = self._read, []
            self._main_thread.call_soon(partial(_acknowledge, read))


def _acknowledge(tickets: list[Ticket]) -> None:
    for ticket in tickets:
        ticket.acknowledge()
