"""Runs whose rows another session has locked: nothing is written of them until it lets go."""

import math
import time
from collections.abc import Collection
from uuid import UUID

from taskworks.logs import steady_logger
from taskworks.store import Store

LOOK_EVERY = 0.5  # seconds between two looks whether it has

logger = steady_logger(__name__)


class Held:
    """Which runs these are, so that one of them holds up no others."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ids: set[UUID] = set()
        self._look_at = math.inf

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._ids

    @property
    def seconds(self) -> float:
        """Until the next look."""
        return self._look_at - time.monotonic()

    def find(self, ids: Collection[UUID]) -> None:
        """Look which of these are locked."""
        self._note(self._store.held(ids))
        if self._ids:
            logger.warning(
                "Rows of runs are locked by other sessions, and written once these let go: %s.",
                ", ".join(map(str, self._ids)),
            )

    def look(self) -> None:
        """See, every now and then, which still are."""
        if self.seconds <= 0:
            self._note(self._store.held(self._ids))

    def _note(self, ids: set[UUID]) -> None:
        self._ids = ids
        self._look_at = time.monotonic() + LOOK_EVERY if ids else math.inf
