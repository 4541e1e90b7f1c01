"""The worker's row, by which other workers know that it is alive."""

import os
import platform
import threading
from collections.abc import Callable
from uuid import UUID, uuid4

from django.db import Error as DatabaseError

from taskworks.conf import conf
from taskworks.duties.rescue import rescue
from taskworks.logs import steady_logger
from taskworks.models import Worker as WorkerRow
from taskworks.store import Store

logger = steady_logger(__name__)


class Registration:
    """
    A worker that may have been declared dead gets a new ``id`` and is unregistered until
    ``renew()``; what it claimed under the old id is no longer its own. ``announce`` is called with
    each id before it has a row.
    """

    def __init__(
        self, store: Store, label: str, announce: Callable[[UUID], None] | None = None
    ) -> None:
        self._store, self._label = store, label
        self._announce = announce or (lambda worker: None)
        self._former: UUID | None = None
        self._lock = threading.Lock()
        self.id = uuid4()
        self.holds = False

    @property
    def living_id(self) -> UUID | None:
        """The id if it is registered, else None."""
        with self._lock:
            return self.id if self.holds else None

    def begin(self) -> None:
        """Register, and rescue the runs of dead workers at once."""
        self._announce(self.id)
        row = WorkerRow(id=self.id, label=self._label, hostname=platform.node(), pid=os.getpid())
        try:
            self._store.register(row)
        except DatabaseError:  # the row may be there all the same: then nobody uses it
            self.id = uuid4()
            raise
        self.holds = True
        rescue(self._store, within=conf().heartbeat_interval)

    def lose(self, worker: UUID) -> None:
        """Note that this id was given up; may be called in any thread."""
        with self._lock:
            if not self.holds or self.id != worker:
                return
            self.holds, self._former, self.id = False, worker, uuid4()
        logger.warning(
            "Worker %s was given up for dead: it claims nothing, and stops what it executes.",
            worker,
        )

    def renew(self) -> None:
        """Register again, under the new id."""
        former = self._former
        self._forget_former()
        self.begin()
        logger.warning("Worker %s was given up for dead; it goes on as %s.", former, self.id)

    def leave(self) -> None:
        """Remove the row."""
        self._forget_former()
        self._store.leave(self.id)

    def _forget_former(self) -> None:
        if self._former:
            self._store.leave(self._former)
