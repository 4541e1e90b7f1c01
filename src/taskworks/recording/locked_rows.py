"""Runs whose rows another session has locked: nothing is written of them until it lets go."""

import math
from collections.abc import Collection
from uuid import UUID

from taskworks import real_time as time
from taskworks.logs import steady_logger
from taskworks.store import Store

LOOK_INTERVAL = 0.5  # seconds between two looks at whether the rows are free

logger = steady_logger(__name__)


class LockedRows:
    """Knows which runs these are, so that one of them holds up no others."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ids: set[UUID] = set()
        self._look_at = math.inf

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._ids

    def __bool__(self) -> bool:
        return bool(self._ids)

    @property
    def seconds(self) -> float:
        """Seconds until the next look; infinite if no row is locked."""
        return self._look_at - time.monotonic()

    def find(self, ids: Collection[UUID]) -> None:
        """Find out which of these runs are locked."""
        self._note(self._store.locked_elsewhere(ids))
        if self._ids:
            logger.warning(
                "Rows of runs are locked by other sessions, and written once these let go: %s.",
                ", ".join(map(str, self._ids)),
            )

    def refresh(self) -> None:
        """Find out, every ``LOOK_INTERVAL`` seconds, which are still locked."""
        if self._ids and self.seconds <= 0:
            self._note(self._store.locked_elsewhere(self._ids))

    def _note(self, ids: set[UUID]) -> None:
        self._ids = ids
        self._look_at = time.monotonic() + LOOK_INTERVAL if ids else math.inf
