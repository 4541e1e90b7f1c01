"""
How things are now: one snapshot per process, which all its pages share.

It is made by whoever asks first, every two seconds at most, and by nobody while nobody asks. Who
asks while it is being made gets the one before.
"""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from django.utils.formats import localize

from taskworks.backends.shards import backends_here
from taskworks.dashboard.reading import Read, read_into
from taskworks.dashboard.shared import Shared
from taskworks.models import Pause, RunState, Worker
from taskworks.models.pause import QUEUE, Scope
from taskworks.store import Store, store
from taskworks.store.census import Working, in_hand_of_each
from taskworks.store.counting import InHand
from taskworks.store.surveying import QueueState

T = TypeVar("T")

KEPT_FOR = 2.0  # seconds
MOST_COUNTED = 10_000  # runs of a state
MOST_WORKERS = 500  # that are shown


class QueueNow(NamedTuple):
    """
    A queue: how many of its runs are ready and in hand, and who would take them; None for what
    could not be read.
    """

    state: QueueState
    is_counted: bool  # whether the state is known
    in_hand: int | None
    workers: int | None  # that take its runs
    slots: int  # of these workers, which take others too
    pause: Pause | None

    @property
    def backend(self) -> str:
        return self.state.backend

    @property
    def name(self) -> str:
        return self.state.queue_name

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others."""
        return self.backend, self.name

    @property
    def ready(self) -> int | None:
        """How many of its runs are ready, as far as they were counted."""
        return self.state.ready if self.is_counted else None

    @property
    def ready_in_words(self) -> str:
        """The number, and whether there are more."""
        if self.is_counted and self.state.is_capped:
            return f"{localize(self.state.ready)}+"
        return "—" if self.ready is None else str(localize(self.ready))

    @property
    def waited(self) -> timedelta | None:
        """For how long the first of them has been ready; None if none is, or nobody knows."""
        return self.state.waited if self.state.ready else None


class Snapshot:
    """The counts, queues, workers and pauses of a moment; each may have taken too long to read."""

    at: Read[datetime]
    states: Read[dict[RunState, int]]
    pauses: Read[list[Pause]]
    held: Read[list[InHand]]
    workers: Read[list[Working]]
    survey: Read[list[QueueState]]
    queues: Read[list[QueueNow]]

    def __init__(self, store: Store) -> None:
        read_into(
            self,
            at=store.read_clock,
            states=lambda: store.count_states(MOST_COUNTED + 1),
            pauses=lambda: [*store.pauses.in_force().order_by("kind", "name")],
            held=store.held,
            workers=lambda: self._workers(store),
            survey=store.survey,
            queues=self._queues,
        )

    @property
    def problems(self) -> list[str]:
        """What could not be read, in sentences."""
        parts = (self.at, self.states, self.pauses, self.held, self.workers, self.survey)
        return [*dict.fromkeys(part.problem for part in parts if part.problem)]

    @property
    def shown_workers(self) -> list[Working]:
        """The first MOST_WORKERS."""
        return (self.workers.value or [])[:MOST_WORKERS]

    @property
    def has_more_workers(self) -> bool:
        """Whether there are more."""
        return len(self.workers.value or ()) > MOST_WORKERS

    @property
    def living(self) -> list[Working]:
        """The workers that are neither given up nor silent."""
        return [one for one in self.workers.value or () if one.is_living]

    def _workers(self, store: Store) -> list[Working]:
        now, in_hand = self._now(store), in_hand_of_each(self.held.value or ())
        is_known = self.held.value is not None
        rows = store.workers.order_by("started_at", "id")[: MOST_WORKERS + 1]
        return [Working.of(one, now, in_hand.get(one.id, {}) if is_known else None) for one in rows]

    def _now(self, store: Store) -> datetime:
        return self.at.value or store.read_clock()

    def _queues(self) -> list[QueueNow]:
        ready = {(one.backend, one.queue_name): one for one in self.survey.value or ()}
        in_hand = Counter[tuple[str, str]]()
        for held in self.held.value or ():
            in_hand[held.backend, held.queue_name] += held.number
        paused = {pause.scope: pause for pause in self.pauses.value or ()}
        known = {
            *((one.alias, name) for one in backends_here() for name in one.queues),
            *ready,
            *in_hand,
            *((scope.backend, scope.name) for scope in paused if scope.kind == QUEUE),
        }
        return [
            self.queue(
                ready.get(key) or QueueState(*key),
                in_hand[key],
                paused.get(Scope(QUEUE, key[1], key[0])),
            )
            for key in sorted(known)
        ]

    def queue(self, state: QueueState, in_hand: int = 0, pause: Pause | None = None) -> QueueNow:
        """Return a queue as it is now, without what could not be read."""
        takers = self._takers(state.backend, state.queue_name)
        return QueueNow(
            state,
            self.survey.value is not None,
            None if self.held.value is None else in_hand,
            None if self.workers.value is None else len(takers),
            sum(worker.all_slots for worker in takers),
            pause,
        )

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
    for shared in _made_of_it:
        shared.forget()


def made_of_it(shared: Shared[T]) -> Shared[T]:
    """Forget this whenever the snapshot is forgotten."""
    _made_of_it.append(shared)
    return shared


_made_of_it: list[Shared[Any]] = []
