"""
Watches the runs that the event streams of this process show: one thread, one query for all. It also
reads the workflows, see workflow_looks.py.

On PostgreSQL it asks workers to notify it of these runs, and reads them when they do. Elsewhere,
and in case that no notification comes, it reads them once a second.
"""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING
from uuid import UUID

from taskworks import real_time as time
from taskworks.backends.shards import databases
from taskworks.chunks import MAX_IDS_PER_QUERY, in_chunks
from taskworks.database.background import BackgroundThread
from taskworks.database.listener import Listener, PipeEvent
from taskworks.database.payloads import (
    MAX_RUNS_PER_NOTIFICATION,
    WATCHERS_CHANNEL,
    asking_for,
    with_news,
)
from taskworks.rest.events.workflow_looks import WorkflowLooks
from taskworks.rest.serializers import RUN_COLUMNS, run_as_json
from taskworks.store import Store, store

if TYPE_CHECKING:
    from taskworks.rest.events.hub import Hub

POLL_INTERVAL = 1.0  # seconds between two looks at all the runs
POLL_INTERVAL_IF_NOTIFIED = 1.25  # which leaves a query in five for asking workers
ASK_INTERVAL = 10.0  # seconds; a worker notifies of a run for thirty
HEARD_WITHIN = 0.2  # seconds in which workers hear that they are asked
MIN_INTERVAL = 0.05  # seconds between two looks, however many notifications come


class Watcher(BackgroundThread):
    """Works until the hub lets it go."""

    def __init__(self, hub: "Hub") -> None:
        self._interrupt = PipeEvent()
        self._store = store(databases()[0])
        super().__init__(
            "events", self._store.alias, "watching runs for event streams", woken=self._interrupt
        )
        self._hub = hub
        self._workflows = WorkflowLooks(hub)
        self._changed: set[UUID] = set()
        self._unheard: set[UUID] = set()  # that workers may not have heard of yet
        self._heard_at = math.inf

    def step(self) -> float:
        """Watch until the hub lets it go, or the database does not answer."""
        if self._is_over:
            return 0.0
        with self._store.listener() or nullcontext() as listener:
            # Behind a pooler, others would get notifications that they never read.
            if listener is None or listener.is_pooled:
                self._watch(self._store, None)
            else:
                listener.listen(WATCHERS_CHANNEL)
                self._watch(self._store, listener)
        return 0.0

    @property
    def _is_over(self) -> bool:
        self.is_stopping = self.is_stopping or self._hub.lets_go(self)
        return self.is_stopping

    def _take_new(self) -> set[UUID]:
        self._interrupt.clear()
        return self._hub.take_new()

    def _watch(self, current: Store, listener: Listener | None) -> None:
        every = POLL_INTERVAL_IF_NOTIFIED if listener else POLL_INTERVAL
        looked = -math.inf
        asked = -math.inf if listener else math.inf
        while not self._is_over:
            now = time.monotonic()
            new, watched = self._take_new(), self._hub.watched
            if listener:
                is_due = now - asked >= ASK_INTERVAL
                self._ask(current, watched if is_due else [*new])
                asked = now if is_due else asked
                self._note_asked(new, now)
            is_due = now - looked >= every
            looked = now if is_due else looked
            self._look(current, watched if is_due else self._with_news(watched, new))
            workflows_due = self._workflows.look(current)
            self.outage.clear()
            next_look = min(looked + every, asked + ASK_INTERVAL, self._heard_at, workflows_due)
            self._wait(listener, next_look)

    def _note_asked(self, new: set[UUID], now: float) -> None:
        """Look once more at what workers may have written before they heard of a new run."""
        if now >= self._heard_at:
            self._changed |= self._unheard
            self._unheard, self._heard_at = set(), math.inf
        if new:
            self._unheard |= new
            self._heard_at = now + HEARD_WITHIN

    def _with_news(self, watched: Sequence[UUID], new: set[UUID]) -> list[UUID]:
        changed, self._changed = self._changed, set()
        return [run_id for run_id in watched if run_id in changed or run_id in new]

    @staticmethod
    def _ask(current: Store, run_ids: Sequence[UUID]) -> None:
        """Ask workers to notify us of these runs."""
        for some in in_chunks(run_ids, MAX_RUNS_PER_NOTIFICATION):
            current.notify(asking_for(some))

    def _look(self, current: Store, run_ids: Sequence[UUID]) -> None:
        for some in in_chunks(run_ids, MAX_IDS_PER_QUERY):
            found = {run.id: run for run in current.runs.only(*RUN_COLUMNS).filter(id__in=some)}
            for run_id in some:
                self._hub.publish(run_id, run_as_json(found[run_id]) if run_id in found else None)

    def _wait(self, listener: Listener | None, until: float) -> None:
        """Wait for a notification, a new stream, or this moment."""
        time.sleep(MIN_INTERVAL)
        seconds = max(0.0, until - time.monotonic())
        if listener is None:
            self._interrupt.wait(seconds)
        else:
            for payload in listener.wait(seconds, self._interrupt):
                self._changed.update(with_news(payload))
