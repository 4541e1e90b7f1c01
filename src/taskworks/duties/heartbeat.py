"""A worker's sign of life, and its look at the others'."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from django.db import Error as DatabaseError

from taskworks.conf import conf
from taskworks.database.connections import reserved_connection
from taskworks.database.outage import Outage
from taskworks.duties.rescue import give_up, rescue
from taskworks.duties.unblock import Unblocking
from taskworks.execution.task_connections import tidy_connections
from taskworks.logs import steady_logger
from taskworks.store import Store

logger = steady_logger(__name__)


class Heartbeat(threading.Thread):
    """
    Beat every few seconds; whenever a beat went through, rescue the runs of workers that are
    silent, and unblock what waits for a run that has succeeded. ``given_up`` is called with the id
    of a worker that finds itself given up; one that has no id, because it was, does not beat.
    ``scheduled`` is called with every beat that sees an enabled schedule; it must take no time.
    """

    def __init__(
        self,
        store: Store,
        worker: Callable[[], UUID | None],
        given_up: Callable[[UUID], None],
        scheduled: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name="taskworks-heartbeat", daemon=True)
        self._store, self._worker, self._given_up = store, worker, given_up
        self._scheduled = scheduled
        self._unblocking = Unblocking(store)
        self._stopped = threading.Event()
        self._outage = Outage()
        self._steady_since = self._last_beat = time.monotonic()

    def run(self) -> None:
        with reserved_connection(self._store.alias):
            with suppress(DatabaseError):  # before tasks may have used up all that there are
                self._store.connection.ensure_connection()
            self._beat_until_stopped()

    def _beat_until_stopped(self) -> None:
        while not self._stopped.wait(conf().heartbeat_interval):
            try:
                self.beat()
            except DatabaseError as error:
                self._outage.note_error(error)
            except Exception:  # without heartbeats the worker would be given up
                logger.exception("A heartbeat failed.")
            else:
                self._outage.clear()
            tidy_connections()

    def stop(self) -> None:
        """No more beats; waits for one under way."""
        self._stopped.set()
        if self.is_alive():
            self.join(conf().heartbeat_interval)

    def begin_anew(self) -> None:
        """Count the silence from now: the worker has just registered."""
        self._steady_since = self._last_beat = time.monotonic()

    def beat(self) -> None:
        """One sign of life."""
        worker = self._worker()
        if worker is None:
            return
        if not self._store.heartbeat(worker):
            if not self._stopped.is_set():
                self._given_up(worker)
            return
        self._note_beat()
        self._look_around(worker)

    def _look_around(self, worker: UUID) -> None:
        silence = timedelta(seconds=conf().worker_timeout)
        overview = self._store.overview(silence, witness=worker)
        given_up = overview.silent and self._is_steady() and give_up(self._store, silence, worker)
        if overview.lost or given_up:
            rescue(self._store, within=conf().heartbeat_interval)
        if overview.blocked:
            self._unblocking.step(within=conf().heartbeat_interval)
        if overview.scheduled:
            self._scheduled()

    def _note_beat(self) -> None:
        now = time.monotonic()
        if now - self._last_beat > 2 * conf().heartbeat_interval:
            self._steady_since = now
        self._last_beat = now

    def _is_steady(self) -> bool:
        # A database that was away silenced everyone: that is nobody's death.
        return time.monotonic() - self._steady_since >= conf().worker_timeout
