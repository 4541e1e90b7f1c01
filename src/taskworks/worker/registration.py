"""The worker's row, which shows other workers that it is alive."""

import os
import platform
import threading
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID, uuid4

from taskworks.conf import conf
from taskworks.duties.rescue import Tell, rescue
from taskworks.logs import steady_logger
from taskworks.models import Worker as WorkerRow
from taskworks.store import Store

logger = steady_logger(__name__)


class Registration:
    """
    A worker's id, and its row.

    A worker that may have been given up gets a new ``id`` and is unregistered until ``renew()``;
    what it claimed under the old id is no longer its own. ``announce`` is called with each id
    before it has a row, ``rescued`` with runs that it has rescued. ``facts`` returns more columns
    of the row.
    """

    def __init__(
        self,
        store: Store,
        label: str,
        facts: Callable[[], Mapping[str, Any]],
        announce: Callable[[UUID], None] | None = None,
        rescued: Tell = lambda runs: None,
    ) -> None:
        self._store, self.label, self._facts = store, label, facts
        self._asked_to = ""
        self._rescued = rescued
        self._announce = announce or (lambda worker: None)
        self._former: UUID | None = None
        self._lock = threading.Lock()
        self.id = uuid4()
        self.is_registered = False

    @property
    def living_id(self) -> UUID | None:
        """The id; None while it is not registered."""
        with self._lock:
            return self.id if self.is_registered else None

    def begin(self) -> None:
        """Register, and rescue the runs of dead workers at once."""
        self._announce(self.id)
        row = WorkerRow(
            id=self.id,
            label=self.label,
            hostname=platform.node(),
            pid=os.getpid(),
            asked_to=self._asked_to,
            **self._facts(),
        )
        try:
            self._store.register(row)
        except BaseException:  # the row may exist all the same: do not use its id
            self.id = uuid4()
            raise
        self.is_registered = True
        rescue(self._store, within=conf().heartbeat_interval, tell=self._rescued)

    def lose(self, worker: UUID) -> None:
        """Note that this id was given up; may be called in any thread."""
        with self._lock:
            if not self.is_registered or self.id != worker:
                return
            self.is_registered, self._former, self.id = False, worker, uuid4()
        logger.warning(
            "Worker %s was given up for dead: it claims nothing, and stops what it executes.",
            self.label,
        )

    def renew(self) -> None:
        """Register again, under the new id; what the former one was asked to do still stands."""
        if self._former:
            self._asked_to = self._asked_to or self._store.asked_of(self._former)
        self._forget_former()
        self.begin()
        logger.warning("Worker %s was given up for dead; it goes on under a new id.", self.label)

    def leave(self) -> None:
        """Remove the row."""
        self._forget_former()
        self._store.leave(self.id)

    def _forget_former(self) -> None:
        if self._former:
            self._store.leave(self._former)
