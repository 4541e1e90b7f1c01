"""
How things are now: one snapshot per process, which all its pages share.

It is made by whoever asks first, every two seconds at most, and by nobody while nobody asks. Who
asks while it is being made gets the one before.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from taskworks.backends.database import database_backends
from taskworks.dashboard.reading import Read, read_into
from taskworks.dashboard.shared import Shared
from taskworks.models import Pause, RunState, Worker
from taskworks.models.pause import QUEUE, Scope
from taskworks.store import Store, store
from taskworks.store.counting import InHand
from taskworks.store.stats import Working

KEPT_FOR = 2.0  # seconds
MOST_COUNTED = 10_000  # runs of a state, or of a queue
MOST_QUEUES = 300  # that are counted
MOST_PROBES = 1000  # of the index of what is ready
MOST_WORKERS = 500  # that are shown


class QueueNow(NamedTuple):
    """A queue: how many of its runs are ready and in hand, and who would take them."""

    backend: str
    name: str
    ready: int
    waited: timedelta | None  # for how long its first ready run has
    in_hand: int
    workers: int  # that take its runs
    slots: int  # of these workers, which take others too
    pause: Pause | None

    @property
    def is_capped(self) -> bool:
        """Whether there may be more ready runs than were counted."""
        return self.ready > MOST_COUNTED

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others."""
        return self.backend, self.name


class Snapshot:
    """The counts, queues, workers and pauses of a moment; each may have taken too long to read."""

    at: Read[datetime]
    states: Read[dict[RunState, int]]
    pauses: Read[list[Pause]]
    held: Read[list[InHand]]
    workers: Read[list[Working]]
    queues: Read[list[QueueNow]]

    def __init__(self, store: Store) -> None:
        read_into(
            self,
            at=store.read_clock,
            states=lambda: store.count_states(MOST_COUNTED + 1),
            pauses=lambda: [*store.pauses.in_force().order_by("kind", "name")],
            held=store.held,
            workers=lambda: self._workers(store),
            queues=lambda: self._queues(store),
        )

    @property
    def problems(self) -> list[str]:
        """What could not be read, in sentences."""
        parts = (self.at, self.states, self.pauses, self.held, self.workers, self.queues)
        return [*dict.fromkeys(part.problem for part in parts if part.problem)]

    @property
    def living(self) -> list[Working]:
        """The workers that are neither given up nor silent."""
        return [one for one in self.workers.value or () if one.is_living]

    def count_of(self, state: RunState) -> int | None:
        """Return how many runs are in a state; None if that could not be read."""
        counts: Mapping[RunState, int] = self.states.value or {}
        return counts.get(state)

    def _workers(self, store: Store) -> list[Working]:
        now, in_hand = self._now(store), Counter[UUID]()
        for held in self.held.value or ():
            in_hand[held.worker] += held.number
        rows = store.workers.order_by("started_at", "id")[:MOST_WORKERS]
        return [
            Working(worker, max(now - worker.heartbeat_at, timedelta()), in_hand[worker.id])
            for worker in rows
        ]

    def _now(self, store: Store) -> datetime:
        return self.at.value or store.read_clock()

    def _queues(self, store: Store) -> list[QueueNow]:
        backends = [*database_backends()]
        heads = store.ready_heads([one.alias for one in backends], MOST_PROBES)
        limited = store.limited_names()
        held: list[InHand] = self.held.value or []
        paused = {pause.scope: pause for pause in self.pauses.value or ()}
        known = {
            *((backend.alias, name) for backend in backends for name in backend.queues),
            *heads,
            *((name.backend, name.queue) for name in limited),
            *((one.backend, one.queue_name) for one in held),
            *((scope.backend, scope.name) for scope in paused if scope.kind == QUEUE),
        }
        depths = store.depths([*heads][:MOST_QUEUES], limited, MOST_COUNTED + 1)
        in_hand = Counter[tuple[str, str]]()
        for one in held:
            in_hand[one.backend, one.queue_name] += one.number
        queues = []
        for key in sorted(known, key=lambda key: (key not in heads, key))[:MOST_QUEUES]:
            depth, workers = depths.get(key), self._takers(*key)
            waits = [heads.get(key), depth.waited if depth else None]
            waited = max((max(one, 0.0) for one in waits if one is not None), default=None)
            queues.append(
                QueueNow(
                    *key,
                    ready=min(depth.ready, MOST_COUNTED + 1) if depth else 0,
                    waited=None if waited is None else timedelta(seconds=waited),
                    in_hand=in_hand[key],
                    workers=len(workers),
                    slots=sum(worker.all_slots for worker in workers),
                    pause=paused.get(Scope(QUEUE, key[1], key[0])),
                )
            )
        return sorted(queues, key=lambda queue: queue.key)

    def _takers(self, backend: str, name: str) -> list[Worker]:
        living = (one.worker for one in self.living if not one.worker.asked_to)
        return [one for one in living if one.backend == backend and one.takes(name)]


_shared = Shared(lambda: Snapshot(store()), KEPT_FOR)


def snapshot() -> Snapshot:
    """Return how things are now, or were two seconds ago at most."""
    return _shared.get()


def forget_snapshot() -> None:
    """Have the next page read everything anew, so that whoever has acted sees it."""
    _shared.forget()
