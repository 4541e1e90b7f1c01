"""How a worker sees that there are new runs, where it can see commits (SQLite)."""

import math
from collections.abc import Callable
from typing import Any

from taskworks import real_time as time
from taskworks.database.background import BackgroundThread
from taskworks.database.outage import GrowingPause
from taskworks.store import Store
from taskworks.store.paused import NOTHING, Paused
from taskworks.worker.claiming.news import News
from taskworks.worker.claiming.queues import Queues

# Seconds between two glances at whether anybody has committed.
GLANCE_INTERVAL = 0.005  # while there are new runs
QUIET_SHARE = 1 / 150  # of the time since the last new run, so that sparse runs cost little
QUIET_GLANCE_INTERVAL = 0.05  # the longest while there are no new runs
BUSY_GLANCE_INTERVAL = 0.01  # while the worker is at work, and looks by itself
LONGEST_GLANCE_INTERVAL = 0.1  # while the worker does not take what is ready: it has no room
WOKEN_GLANCE_INTERVAL = 1.0  # while the worker is woken in another way

ANY_QUEUE: list[str | None] = [None]
SAME_MOMENT = 0.01  # seconds; two looks at when a run is due differ by less


class CommitWatcher(BackgroundThread):
    """
    Looks at what there is to claim when another connection has committed, and calls
    ``wake_worker`` if a queue that the worker claims from has a ready run, or if a run is due
    sooner than the last look has found; ``take`` returns the queues. It does so, too, whenever it
    may have missed a commit.

    It asks nothing while the worker is awake, which then calls ``take`` again and again, and rarely
    while ``is_woken_otherwise`` returns True.
    """

    misses_nothing = True

    def __init__(
        self,
        store: Store,
        backend: str,
        queues: Queues,
        wake_worker: Callable[[], None],
        *,
        is_woken_otherwise: Callable[[], bool] = lambda: False,
        **_of_a_listener: Any,
    ) -> None:
        super().__init__("watcher", store.alias, "watching for new runs")
        self._is_woken_otherwise = is_woken_otherwise
        self._store, self._backend, self._queues = store, backend, queues
        self._news = News(wake_worker)
        self._times_taken = self._times_seen = 0
        self._due_at = math.inf
        self._paused: Paused = NOTHING
        self._pause = GlancePause()
        self.works = False

    def take(self) -> set[str | None]:
        """Return the queues with news since the last call; None stands for any queue."""
        self._times_taken += 1
        return self._news.take()

    def step(self) -> float:
        """Watch until the database fails."""
        try:
            with self._store.seeing_commits() as data_version:
                self._watch(data_version)
        finally:
            if not self.is_stopping:
                self.works = False
                self._news.note(None)  # or the worker would go on polling as rarely
        return 0.0

    def _watch(self, data_version: Callable[[], Any]) -> None:
        seen = None
        while not self.is_stopping:
            if self._is_at_work():
                time.sleep(BUSY_GLANCE_INTERVAL)
                continue
            if (version := data_version()) != seen:
                seen = version  # of before the look: what is committed meanwhile is looked at again
                self._look()
            if self._is_woken_otherwise():
                self.woken.wait(WOKEN_GLANCE_INTERVAL)
            else:
                time.sleep(self._pause.seconds)

    def _is_at_work(self) -> bool:
        """Return whether the worker has come for news since the last call."""
        seen, self._times_seen = self._times_seen, self._times_taken
        return self._times_seen != seen

    def _look(self) -> None:
        looks = 0
        for outlook in self._store.outlooks(self._backend):
            looks += 1
            if ready := [name for name in outlook.queues if self._queues.takes(name)]:
                break
        # To pass by so many queues of others takes too long for a look at each commit.
        self._pause.note(has_news=bool(ready) or outlook.has_limited or looks > 1)
        for name in ready if outlook.goes_on_after is None else ANY_QUEUE:
            self._news.note(name)
        if self._has_new_pauses(outlook.paused) or outlook.has_limited:
            self._news.note(None)
        if self._is_due_sooner(outlook.due_in):
            self._news.note(None)
        self.works = True
        self.outage.clear()

    def _has_new_pauses(self, paused: Paused) -> bool:
        """Return whether something was paused or resumed: the worker is to look for itself."""
        before, self._paused = self._paused, paused
        return paused != before

    def _is_due_sooner(self, seconds: float) -> bool:
        """Return whether the next run is due sooner than the last look has found."""
        now = time.monotonic()
        known = self._due_at if self._due_at > now else math.inf
        self._due_at = now + seconds
        return self._due_at < known - SAME_MOMENT


class GlancePause:
    """The pause between two glances."""

    def __init__(self) -> None:
        self._growing = GrowingPause(GLANCE_INTERVAL, LONGEST_GLANCE_INTERVAL)
        self._shortest = GLANCE_INTERVAL
        self._news_at = -math.inf

    def note(self, *, has_news: bool) -> None:
        """Note whether a look has found ready runs, or many that are of no concern."""
        if has_news:
            self._news_at = time.monotonic()
        else:
            self._growing.reset()
        self._shortest = self._growing.take() if has_news else GLANCE_INTERVAL

    @property
    def seconds(self) -> float:
        share = (time.monotonic() - self._news_at) * QUIET_SHARE
        return max(self._shortest, min(share, QUIET_GLANCE_INTERVAL))
