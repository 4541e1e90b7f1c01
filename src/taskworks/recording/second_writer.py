"""Writes the ends of many runs in a thread of its own, while the worker claims the next ones."""

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from functools import partial
from queue import Empty, SimpleQueue
from uuid import UUID

from django.db import Error as DatabaseError

from taskworks import real_time as time
from taskworks.database.connections import own_connections
from taskworks.execution import Attempt
from taskworks.execution.task_connections import leave_connections
from taskworks.recording.batch_writer import BatchWriter
from taskworks.store import Store

MIN_BATCH = 25  # fewer are written as fast by who has them
REST = 30.0  # seconds after a failure
PATIENCE = 5.0  # seconds after which it is waited for, so that probes see that nothing is written
KEEP_CONNECTION_FOR = 10.0  # seconds without anything to write
STOP_TIMEOUT = 2.0  # seconds

Order = tuple["Future[set[UUID]]", Callable[[], set[UUID]]]


class SecondWriter:
    """
    Writes one batch of ``attempts`` at a time, over a connection of its own; nobody else writes
    these until ``take``. ``wake`` is called, in its thread, when it has ended with them. The thread
    is started when it is first needed.
    """

    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        self._store, self._wake = store, wake
        self._batch_writer = BatchWriter(store.poison)
        self._orders: SimpleQueue[Order | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._written: Future[set[UUID]] = Future()
        self._rests_until = self._began = -math.inf
        self.attempts: Sequence[Attempt] = ()

    @property
    def is_free(self) -> bool:
        """True if it can be given something."""
        return not self.attempts and time.monotonic() >= self._rests_until

    @property
    def is_to_be_awaited(self) -> bool:
        """True if it has ended, or should have long ago."""
        return self._written.done() or time.monotonic() - self._began > PATIENCE

    def begin(self, attempts: Sequence[Attempt]) -> None:
        """Begin to write the first of these: ``attempts``, from now on."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._work, name="taskworks-second-writer", daemon=True
            )
            self._thread.start()
        batch = next(self._batch_writer.batches(attempts))
        self.attempts, self._written, self._began = batch, Future(), time.monotonic()
        write = partial(self._batch_writer.write, self._store.finish, batch)
        self._orders.put((self._written, write))

    def take(self) -> set[UUID]:
        """
        Return the ids of the runs of ``attempts`` that were still ours, once they are written.
        Raise what the writing has raised; then it rests, unless it was about locked rows.
        """
        wait([self._written])
        self.attempts = ()
        try:
            return self._written.result()
        except Exception as error:
            if not (isinstance(error, DatabaseError) and self._store.is_lock_timeout(error)):
                self._rests_until = time.monotonic() + REST
            raise

    def close(self) -> None:
        """End the thread, and its connection."""
        if self._thread is not None:
            self._orders.put(None)
            self._thread.join(STOP_TIMEOUT)
            self._thread = None

    # Called in the thread.

    def _work(self) -> None:
        with own_connections(self._store.alias):
            while order := self._next():
                self._carry_out(*order)

    def _next(self) -> Order | None:
        try:
            return self._orders.get(timeout=KEEP_CONNECTION_FOR)
        except Empty:
            leave_connections()
        return self._orders.get()

    def _carry_out(self, written: "Future[set[UUID]]", write: Callable[[], set[UUID]]) -> None:
        try:
            written.set_result(write())
        except BaseException as error:  # noqa: BLE001 - who waits for it is told
            leave_connections()  # they may have died, unnoticed
            written.set_exception(error)
        self._wake()
