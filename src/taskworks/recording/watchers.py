"""Those who watch runs, and are told how these get on; where the database can do that."""

import time
from collections.abc import Iterable, Sequence
from uuid import UUID

from django.db import Error as DatabaseError

from taskworks.database.notifications import MAX_RUNS_PER_NOTIFICATION, WATCHERS_CHANNEL, news_of
from taskworks.logs import steady_logger
from taskworks.store import Store

WATCHED_FOR = 30.0  # seconds from the last time that somebody asked; they ask every ten
MOST = 10_000  # runs

logger = steady_logger(__name__)


class Watchers:
    """
    Which runs somebody watches. Of all others nothing is told, so that they cost nothing; nor is
    anything written for those that are watched: who hears of one reads it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._until: dict[UUID, float] = {}

    def watch(self, run_ids: Sequence[UUID]) -> None:
        """Somebody watches these runs; may be called in any thread."""
        now = time.monotonic()
        watched = {run_id: until for run_id, until in self._until.items() if until > now}
        watched.update(dict.fromkeys(run_ids, now + WATCHED_FOR))
        self._until = watched if len(watched) <= MOST else {}  # replaced whole: others read it

    def tell(self, run_ids: Iterable[UUID]) -> None:
        """Tell those who watch one of these runs that there is something new."""
        if not self._until:
            return
        watched = [run_id for run_id in run_ids if run_id in self._until]
        for start in range(0, len(watched), MAX_RUNS_PER_NOTIFICATION):
            self._send(watched[start : start + MAX_RUNS_PER_NOTIFICATION])

    def _send(self, run_ids: Sequence[UUID]) -> None:
        try:
            self._store.notify(news_of(run_ids), WATCHERS_CHANNEL)
        except DatabaseError as error:  # who watches looks anyway
            logger.debug("Nobody could be told how %d runs get on: %s", len(run_ids), error)
