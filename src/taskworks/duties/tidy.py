"""Tidy: delete what runs and schedules leave behind, once nobody can ask for it any more."""

import time
from datetime import timedelta
from uuid import UUID

from taskworks.store import Store

CHUNK = 1000
KEEP_FIRINGS = timedelta(days=1)  # at the least; while its run is there a firing stays
KEEP_FINISHED = timedelta(days=7)
EVERY = timedelta(hours=1).total_seconds()


def tidy(store: Store) -> None:
    """Do all of it now."""
    tidying = Tidying(store)
    while tidying.step():
        pass


class Tidying:
    """
    Goes through the firings, a chunk a step, and deletes those whose runs are gone; then deletes
    schedules that were used up long ago and have no firing left, but for those declared in code;
    then goes through the idempotency keys, for pruning takes those of its runs along, and whoever
    deletes runs in another way does not. Begins again after an hour, so that what is kept does not
    cost a look each time.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last_firing: int | None = None
        self._last_key: UUID | None = None
        self._duties = (self._forget_firings, self._forget_finished, self._forget_keys)
        self._turn = 0
        self._again_at = 0.0

    def step(self) -> bool:
        """The next chunk, if it is time; whether there is more to do now."""
        if time.monotonic() < self._again_at:
            return False
        if not self._duties[self._turn]():
            self._turn = (self._turn + 1) % len(self._duties)
            if self._turn == 0:
                self._again_at = time.monotonic() + EVERY
                return False
        return True

    # The duties; each says whether there is more of it.

    def _forget_firings(self) -> bool:
        last = self._last_firing or 0
        self._last_firing = self._store.forget_firings(last, KEEP_FIRINGS, CHUNK)
        return self._last_firing is not None

    def _forget_finished(self) -> bool:
        return self._store.forget_finished_schedules(KEEP_FINISHED, CHUNK) == CHUNK

    def _forget_keys(self) -> bool:
        self._last_key = self._store.forget_keys(self._last_key, CHUNK)
        return self._last_key is not None
