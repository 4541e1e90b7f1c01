"""The event streams of this process, and the runs and workflows that they show."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from typing import Any
from uuid import UUID

from taskworks import real_time as time
from taskworks.rest.events.places import Holder, has_place
from taskworks.rest.events.shutdown import call_at_shutdown
from taskworks.rest.events.watcher import Watcher

MAX_IDLE_TIME = 5.0  # seconds that the thread outlives the last stream, for pages are reloaded

Run = Mapping[str, Any]


class Subscription:
    """
    A stream's place, and its access to the latest state of its run, or workflow, in its event loop.
    """

    def __init__(self, run_id: UUID, holder: Holder, *, is_workflow: bool = False) -> None:
        self.run_id, self.holder, self.is_workflow = run_id, holder, is_workflow
        self._loop = asyncio.get_running_loop()
        self._is_updated = asyncio.Event()
        self._latest: Run | None = None

    async def next(self) -> Run | None:
        """Wait until the run has been read again, and return it; None if it was deleted."""
        await self._is_updated.wait()
        self._is_updated.clear()
        return self._latest

    def update(self, run: Run | None) -> None:
        """Pass the run on to the stream, from the watcher's thread."""
        self._latest = run
        self.wake()

    def wake(self) -> None:
        """Have the stream look, from any thread."""
        with suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(self._is_updated.set)


class Hub:
    """The subscriptions of this process, and the thread that reads their runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: dict[UUID, set[Subscription]] = {}
        self._new: set[UUID] = set()
        self._left_at = 0.0
        self._watcher: Watcher | None = None
        self._is_stopping = False
        self.is_ending = False

    def __len__(self) -> int:
        """Return how many streams are open."""
        with self._lock:
            return sum(map(len, self._subscriptions.values()))

    def has_place_for(self, holder: Holder) -> bool:
        """Return whether this one may open another stream now."""
        with self._lock:
            return has_place(holder, self._taken)

    def subscribe(
        self, run_id: UUID, holder: Holder, *, is_workflow: bool = False
    ) -> Subscription | None:
        """
        Return a subscription to the run or workflow, which is read at once; None if there is no
        place.
        """
        call_at_shutdown(self.end_streams)
        subscription = Subscription(run_id, holder, is_workflow=is_workflow)
        with self._lock:
            if not has_place(holder, self._taken):
                return None
            self._ensure_watcher()
            self._subscriptions.setdefault(run_id, set()).add(subscription)
            self._new.add(run_id)
            self._wake()
            return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription, whose place is free then; may be called again, in any thread."""
        with self._lock:
            of_run = self._subscriptions.get(subscription.run_id, set())
            if subscription not in of_run:
                return
            of_run.remove(subscription)
            if not of_run:
                del self._subscriptions[subscription.run_id]
            self._left_at = time.monotonic()

    def end_streams(self) -> None:
        """End all streams, and later ones after their first event: the process is to stop."""
        self.is_ending = True
        with self._lock:
            subscriptions = [*self._all]
        for subscription in subscriptions:
            subscription.wake()

    def stop(self) -> None:
        """End the thread, even if there are streams, and wait until its connections are closed."""
        with self._lock:
            watcher, self._is_stopping = self._watcher, True
            self._wake()
        if watcher:
            watcher.join()
        self._is_stopping = False

    # For the watcher.

    @property
    def watched(self) -> list[UUID]:
        """The runs that have a stream."""
        with self._lock:
            return self._of_kind(is_workflow=False)

    @property
    def watched_workflows(self) -> list[UUID]:
        """The workflows that have a stream."""
        with self._lock:
            return self._of_kind(is_workflow=True)

    def take_new(self) -> set[UUID]:
        """Return those runs that have got another stream since the last call."""
        with self._lock:
            return self._take_new({*self._of_kind(is_workflow=False)})

    def take_new_workflows(self) -> set[UUID]:
        """Return those workflows that have got another stream since the last call."""
        with self._lock:
            return self._take_new({*self._of_kind(is_workflow=True)})

    def publish(self, run_id: UUID, run: Run | None) -> None:
        """Pass a run on to its streams; None if it was deleted."""
        with self._lock:
            subscriptions = list(self._subscriptions.get(run_id, ()))
        for subscription in subscriptions:
            subscription.update(run)

    def lets_go(self, watcher: Watcher) -> bool:
        """Return whether the watcher may end; the next stream starts another."""
        with self._lock:
            is_idle = not self._subscriptions and time.monotonic() - self._left_at > MAX_IDLE_TIME
            if not is_idle and not self._is_stopping:
                return False
            self._watcher = None
            return True

    def _of_kind(self, *, is_workflow: bool) -> list[UUID]:
        return [
            id_
            for id_, some in self._subscriptions.items()
            if any(one.is_workflow is is_workflow for one in some)
        ]

    def _take_new(self, of_kind: set[UUID]) -> set[UUID]:
        new = self._new & of_kind
        self._new = (self._new & self._subscriptions.keys()) - of_kind
        return new

    @property
    def _all(self) -> Iterator[Subscription]:
        return chain.from_iterable(self._subscriptions.values())

    @property
    def _taken(self) -> list[Holder]:
        return [subscription.holder for subscription in self._all]

    def _ensure_watcher(self) -> None:
        # Not at import, because a process that forks later is without the thread.
        if self._watcher is None or not self._watcher.is_alive():
            watcher = Watcher(self)
            watcher.start()
            self._watcher = watcher

    def _wake(self) -> None:
        if self._watcher:
            self._watcher.wake()


hub = Hub()
