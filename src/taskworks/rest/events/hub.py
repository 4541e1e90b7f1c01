"""Which runs the streams of this process show, and who of them hears what there is to tell."""

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

from taskworks.rest.events.watcher import Watcher

LINGER = 5.0  # seconds that the thread stays when nobody listens, for who reloads the page

Run = Mapping[str, Any]


class Ear:
    """Of one stream, in its event loop: the latest that is known of the run, and no more."""

    def __init__(self, viewer: str) -> None:
        self.viewer = viewer
        self._loop = asyncio.get_running_loop()
        self._has_news = asyncio.Event()
        self._latest: Run | None = None

    async def next(self) -> Run | None:
        """The run, as soon as it was looked at again; None if it is gone."""
        await self._has_news.wait()
        self._has_news.clear()
        return self._latest

    def tell(self, run: Run | None) -> None:
        """Called in the watcher's thread."""
        self._latest = run
        with suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(self._has_news.set)


class Hub:
    """The ears of this process, and the thread that looks at their runs, while there are any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ears: dict[UUID, set[Ear]] = {}
        self._new: set[UUID] = set()
        self._left_at = 0.0
        self._watcher: Watcher | None = None
        self._is_stopping = False

    def __len__(self) -> int:
        """How many streams are open."""
        with self._lock:
            return sum(map(len, self._ears.values()))

    def open_for(self, viewer: str) -> int:
        """How many of them are this user's."""
        with self._lock:
            return sum(ear.viewer == viewer for ears in self._ears.values() for ear in ears)

    @contextmanager
    def listening(self, run_id: UUID, viewer: str) -> Iterator[Ear]:
        """While this lasts, the ear hears of the run, which is looked at at once."""
        ear = Ear(viewer)
        with self._lock:
            self._have_watcher()
            self._ears.setdefault(run_id, set()).add(ear)
            self._new.add(run_id)
            self._wake()
        try:
            yield ear
        finally:
            self._forget(run_id, ear)

    def stop(self) -> None:
        """End the thread, whoever listens, and wait until its connections are closed."""
        with self._lock:
            watcher, self._is_stopping = self._watcher, True
            self._wake()
        if watcher:
            watcher.join()
        self._is_stopping = False

    # What the watcher asks.

    @property
    def watched(self) -> list[UUID]:
        """The runs that somebody hears of."""
        with self._lock:
            return list(self._ears)

    def take_new(self) -> set[UUID]:
        """Those of them that nobody has looked at since somebody began to listen."""
        with self._lock:
            new, self._new = self._new & self._ears.keys(), set()
            return new

    def tell(self, run_id: UUID, run: Run | None) -> None:
        """Tell all who listen how the run is, or that it is gone."""
        with self._lock:
            ears = list(self._ears.get(run_id, ()))
        for ear in ears:
            ear.tell(run)

    def lets_go(self, watcher: Watcher) -> bool:
        """Whether the watcher may end; another will begin when there is someone to listen."""
        with self._lock:
            is_idle = not self._ears and time.monotonic() - self._left_at > LINGER
            if not is_idle and not self._is_stopping:
                return False
            self._watcher = None
            return True

    def _forget(self, run_id: UUID, ear: Ear) -> None:
        with self._lock:
            self._ears[run_id].discard(ear)
            if not self._ears[run_id]:
                del self._ears[run_id]
            self._left_at = time.monotonic()

    def _have_watcher(self) -> None:
        """Not at import, for a process may fork meanwhile, which leaves it without the thread."""
        if self._watcher is None or not self._watcher.is_alive():
            watcher = Watcher(self)
            watcher.start()
            self._watcher = watcher

    def _wake(self) -> None:
        if self._watcher:
            self._watcher.wake()


hub = Hub()
