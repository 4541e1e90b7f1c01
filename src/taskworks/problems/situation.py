"""What the rules look at, read when the first of them asks."""

from datetime import datetime
from functools import cached_property

from taskworks.conf import conf
from taskworks.models import Pause, Worker
from taskworks.models.pause import QUEUE, Scope
from taskworks.statistics import reading
from taskworks.statistics.forecast import LATELY
from taskworks.statistics.reading import Counts, Key
from taskworks.store import Store, census
from taskworks.store.census import Working
from taskworks.store.surveying import QueueState


class Situation:
    """The facts of a moment. Each costs a few statements, whose cost has a bound."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @cached_property
    def now(self) -> datetime:
        """The database's time."""
        return self.store.read_clock()

    @cached_property
    def queues(self) -> list[QueueState]:
        """Those that have ready runs."""
        return self.store.survey()

    @cached_property
    def workers(self) -> list[Working]:
        """All that have a row."""
        return census.workers(self.store)

    @cached_property
    def living(self) -> list[Worker]:
        """Those that are heard, and that claim runs."""
        return [one.worker for one in self.workers if one.is_living and not one.worker.asked_to]

    @cached_property
    def pauses(self) -> list[Pause]:
        """Those in force."""
        return [*self.store.pauses.in_force().order_by("kind", "name", "key")]

    @cached_property
    def counts(self) -> dict[Key, Counts]:
        """What became of runs ``LATELY``; empty if statistics are switched off."""
        return reading.counts(self.store, LATELY) if conf().statistics else {}

    def is_paused(self, queue: QueueState) -> bool:
        """Return whether no run of the queue begins."""
        scope = Scope(QUEUE, queue.queue_name, queue.backend)
        return any(pause.scope == scope for pause in self.pauses)

    def attending(self, queue: QueueState, executor: str | None = None) -> list[Worker]:
        """Return the living workers that take the queue, and this executor if one is given."""
        return [
            worker
            for worker in self.living
            if worker.backend == queue.backend and worker.takes(queue.queue_name, executor)
        ]
