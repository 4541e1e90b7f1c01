"""
Looks how runs get on, for all who listen in this process: one thread, and one query for all.

On PostgreSQL it asks workers to tell of these runs, and looks when they do. Elsewhere, and in case
that nobody tells, it looks once a second.
"""

import math
import multiprocessing
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import Error as DatabaseError
from django.db import connections

from taskworks.database.notifications import (
    MAX_RUNS_PER_NOTIFICATION,
    WATCHERS_CHANNEL,
    Listener,
    asking_for,
    with_news,
)
from taskworks.database.outage import Outage
from taskworks.logs import steady_logger
from taskworks.rest.representation import SHOWN, shown
from taskworks.store import Store, store

if TYPE_CHECKING:
    from taskworks.rest.events.hub import Hub

LOOK_EVERY = 1.0  # seconds between two looks at all the runs
LOOK_EVERY_IF_TOLD = 1.25  # which leaves a query in five for asking workers
ASK_EVERY = 10.0  # seconds; a worker tells of a run for thirty
HEARD_WITHIN = 0.2  # seconds, in which workers hear that they are asked
PAUSE = 0.05  # seconds between two looks, however much there is to hear
MOST_IDS = 900  # in one query; SQLite's variables may be as few as 999

logger = steady_logger(__name__)


class Watcher(threading.Thread):
    """Works until the hub lets it go."""

    def __init__(self, hub: "Hub") -> None:
        super().__init__(name="taskworks-events", daemon=True)
        self._hub = hub
        self._wakes, self._waking = multiprocessing.Pipe(duplex=False)
        self._told: set[UUID] = set()
        self._unheard: set[UUID] = set()  # that workers may not have heard of yet
        self._heard_at = math.inf
        self._may_end = False
        self._outage = Outage(
            "The database does not answer, and streams of events wait",
            "The database answers again, and streams of events go on.",
        )

    def run(self) -> None:
        while not self._is_over:
            pause = self._watch_as_long_as_possible()
            connections.close_all()
            if not self._is_over:
                self._take_new()  # all are looked at when it goes on
                self._wakes.poll(pause)

    def wake(self) -> None:
        """Have it look up, for there is something new."""
        self._waking.send_bytes(b"wake")

    def _take_new(self) -> set[UUID]:
        while self._wakes.poll(0):
            self._wakes.recv_bytes()
        return self._hub.take_new()

    @property
    def _is_over(self) -> bool:
        self._may_end = self._may_end or self._hub.lets_go(self)
        return self._may_end

    def _watch_as_long_as_possible(self) -> float:
        """Seconds to wait before the next try."""
        try:
            current = store()
            with current.listener() or nullcontext() as listener:
                # Of a pooler's session, others would be told what they never read.
                if listener is None or listener.is_pooled:
                    self._watch(current, None)
                else:
                    listener.listen(WATCHERS_CHANNEL)
                    self._watch(current, listener)
        except DatabaseError as error:
            return self._outage.note_error(error)
        except Exception:
            logger.exception("Looking at the runs of event streams failed.")
            return LOOK_EVERY
        return 0.0

    def _watch(self, current: Store, listener: Listener | None) -> None:
        every = LOOK_EVERY_IF_TOLD if listener else LOOK_EVERY
        looked = -math.inf
        asked = -math.inf if listener else math.inf
        while not self._is_over:
            now = time.monotonic()
            new, watched = self._take_new(), self._hub.watched
            if listener:
                is_due = now - asked >= ASK_EVERY
                self._ask(current, watched if is_due else [*new])
                asked = now if is_due else asked
                self._note_asked(new, now)
            is_due = now - looked >= every
            looked = now if is_due else looked
            self._look(current, watched if is_due else self._with_news(watched, new))
            self._outage.clear()
            self._wait(listener, min(looked + every, asked + ASK_EVERY, self._heard_at))

    def _note_asked(self, new: set[UUID], now: float) -> None:
        """What a worker has written before it heard of a run it has not told: look once more."""
        if now >= self._heard_at:
            self._told |= self._unheard
            self._unheard, self._heard_at = set(), math.inf
        if new:
            self._unheard |= new
            self._heard_at = now + HEARD_WITHIN

    def _with_news(self, watched: Sequence[UUID], new: set[UUID]) -> list[UUID]:
        told, self._told = self._told, set()
        return [run_id for run_id in watched if run_id in told or run_id in new]

    @staticmethod
    def _ask(current: Store, run_ids: Sequence[UUID]) -> None:
        """Ask workers to tell of these runs."""
        for some in _parts(run_ids, MAX_RUNS_PER_NOTIFICATION):
            current.notify(asking_for(some))

    def _look(self, current: Store, run_ids: Sequence[UUID]) -> None:
        for some in _parts(run_ids, MOST_IDS):
            found = {run.id: run for run in current.runs.only(*SHOWN).filter(id__in=some)}
            for run_id in some:
                self._hub.tell(run_id, shown(found[run_id]) if run_id in found else None)

    def _wait(self, listener: Listener | None, until: float) -> None:
        """Until a worker tells something, somebody new listens, or this moment."""
        time.sleep(PAUSE)
        seconds = max(0.0, until - time.monotonic())
        if listener is None:
            self._wakes.poll(seconds)
        else:
            for payload in listener.wait(seconds, self._wakes):
                self._told.update(with_news(payload))


def _parts(run_ids: Sequence[UUID], most: int) -> Iterator[Sequence[UUID]]:
    for start in range(0, len(run_ids), most):
        yield run_ids[start : start + most]
