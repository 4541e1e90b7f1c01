"""How a worker hears of new runs by the tickets that Celery consumes."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from celery import Task

from taskworks import real_time as time
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

    def acknowledge(self) -> None:
        """Have the broker forget it. Called in the main thread."""
        if not self.message.acknowledged:
            with suppress(Exception):  # its connection is gone: it comes again, and finds nothing
                self.message.ack()


class TicketSource:
    """
    The ``WakeUpSource`` of a Celery worker: tickets, beside what the database itself tells. A
    ticket is acknowledged after the look that followed, whatever that has found; but while Celery's
    pool has no room, only after a minute, so that the broker keeps the next ones for others.
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
        self._read_at = 0.0  # the first of them

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
        if not self._read:
            self._read_at = time.monotonic()
        with suppress(IndexError):
            while True:
                self._read.append(self._unread.popleft())
        self._wake_worker()  # to acknowledge them, after the look that comes now
        return news | {None}

    def _acknowledge(self) -> None:
        if self._read and (self._has_room() or self._has_held_them_long):
            read, self._read = self._read, []
            self._main_thread.call_soon(partial(_acknowledge, read))

    @property
    def _has_held_them_long(self) -> bool:
        return time.monotonic() - self._read_at > LONGEST_HOLD


def _acknowledge(tickets: list[Ticket]) -> None:
    for ticket in tickets:
        ticket.acknowledge()
