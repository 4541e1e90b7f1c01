"""The worker of one backend, in a thread of a Celery worker's main process."""

import os
import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from django.db import Error as DatabaseError
from django.db import connections

from taskworks.actions import limits
from taskworks.backends.celery import CeleryBackend
from taskworks.backends.celery.options import options_of
from taskworks.celery_worker.events import CeleryEvents
from taskworks.celery_worker.main_thread import MainThread
from taskworks.celery_worker.pools import CeleryPools, MakeThreads
from taskworks.celery_worker.queues import ConsumedQueues
from taskworks.celery_worker.tickets import Ticket, TicketSource
from taskworks.database.connections import own_connections
from taskworks.database.outage import Outage
from taskworks.database.shards import using
from taskworks.logs import steady_logger
from taskworks.options.policy import THREAD
from taskworks.schedules.sync import synchronize_if_possible
from taskworks.store import Store
from taskworks.worker import Options, Sizes, Worker
from taskworks.worker.claiming import WakeUpSource
from taskworks.worker.claiming.sources import wake_up_source
from taskworks.worker.pools import Done, PoolSet
from taskworks.worker.shutdown import Stage

MAX_LABEL = 64  # characters
ASK_AGAIN_AFTER = 1.0  # seconds

logger = steady_logger(__name__)


class Desk:
    """Claims and writes the runs of a backend, as long as the Celery worker lives."""

    def __init__(
        self,
        backend: CeleryBackend,
        celery_worker: Any,
        main_thread: MainThread,
        make_threads: MakeThreads,
        ended: Callable[["Desk"], None],
    ) -> None:
        """``ended`` is called once, in the thread of the desk."""
        self.backend = backend
        self.has_failed = False
        self._celery_worker, self._main_thread = celery_worker, main_thread
        self._make_threads, self._ended = make_threads, ended
        self._tickets: TicketSource | None = None
        options = Options(
            queues=ConsumedQueues(backend, celery_worker.app),
            sizes=Sizes(threads=celery_worker.pool.limit, task_processes=_processors()),
            label=celery_worker.hostname[:MAX_LABEL],
        )
        self.worker = Worker(
            backend,
            options,
            subscribers=[CeleryEvents(celery_worker, main_thread)],
            make_pools=self._make_pools,
            make_wake_ups=self._make_wake_ups,
        )
        # What is left of asking, and then of releasing: to pop is safe in a signal handler too.
        self._asks, self._releases = [self.worker.stop], [self.worker.stop]
        # No event, whose lock may be held by what a signal handler has interrupted.
        self._asked: SimpleQueue[None] = SimpleQueue()
        self._thread = threading.Thread(
            target=self._work, name=f"taskworks-desk-{backend.alias}", daemon=True
        )

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def hear(self, ticket: Ticket) -> None:
        """Look for runs: a ticket has come."""
        if self._tickets:
            self._tickets.hear(ticket)

    def heed_new_connection(self) -> None:
        """Celery has a new connection to its broker."""
        self._pools.heed_new_connection()

    def ask(self) -> None:
        """Have it claim nothing more, and end when its runs have, or soon after."""
        self._asked.put(None)
        _do_once(self._asks)

    def release(self) -> None:
        """Have it give back its runs at once, and end."""
        self.ask()
        _do_once(self._releases)

    def join(self, seconds: float) -> None:
        """Wait for its end, or so long."""
        self._thread.join(seconds)

    def see_to_its_end(self) -> None:
        """Wait for its end; ask it again if an exception in a signal handler cut that short."""
        while self._thread.is_alive():
            self._thread.join(ASK_AGAIN_AFTER)
            if not self._is_working:
                continue
            self._asked.put(None)
            self.worker.stop()

    def end_what_is_executed(self) -> None:
        """End what Celery's pool executes, if that is possible."""
        self._pools.end_what_is_executed()

    @property
    def executing(self) -> int:
        """How many of its runs Celery's pool executes."""
        return self._pools.executing

    def facts(self) -> dict[str, Any]:
        """Return what people ask about it."""
        return {
            "worker": str(self.worker.id),
            "queues": [*(self.worker.options.queues.names or ())],
            "executing": self.executing,
            "empty_slots": dict(self._pools.empty),
            "stage": self.worker.shutdown.stage.name.lower(),
        }

    def _work(self) -> None:
        try:
            if self._reaches_database():
                with using(self.backend.database):
                    synchronize_if_possible()
                    limits.synchronize_if_possible()
                self.worker.run()
        except BaseException:
            self.has_failed = True
            logger.exception("The worker of TASKS[%r] has failed.", self.backend.alias)
        finally:
            self._ended(self)

    def _reaches_database(self) -> bool:
        """Wait until the database answers; return False if it was asked to end before."""
        alias, outage, pause = self.backend.database, Outage("starting to work"), 0.0
        while not self._is_asked_within(pause):
            try:
                with own_connections(alias):
                    connections[alias].ensure_connection()
            except DatabaseError as error:
                pause = outage.note_error(error)
            else:
                return True
        return False

    def _is_asked_within(self, seconds: float) -> bool:
        try:
            self._asked.get(timeout=seconds)
        except Empty:
            return False
        return True

    def _make_pools(self, sizes: Sizes, sender: type, done: Done) -> PoolSet:
        self._pools = CeleryPools(self._make_threads, sizes, sender, done)
        return self._pools

    def _make_wake_ups(self, of: Store, *others: Any, **callbacks: Any) -> WakeUpSource:
        beside = wake_up_source(of, *others, **callbacks)
        _alias, _queues, wake_worker = others
        self._tickets = TicketSource(
            beside,
            wake_worker,
            self._main_thread,
            has_room=lambda: self._is_working and self._pools.room[THREAD] > 0,
            do_come=partial(self._do_tickets_come, of),
        )
        return self._tickets

    @property
    def _is_working(self) -> bool:
        return self.worker.shutdown.stage is Stage.WORKING

    def _do_tickets_come(self, of: Store) -> bool:
        if of.can_notify or not options_of(self.backend).tickets:
            return False
        return self._main_thread.is_connected


def _do_once(calls: list[Callable[[], None]]) -> None:
    try:
        call = calls.pop()
    except IndexError:
        return
    call()


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
