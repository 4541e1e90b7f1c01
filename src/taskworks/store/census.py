"""How many runs there are, how long they wait, and which workers live: for people."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.utils.translation import gettext_noop as _

from taskworks.conf import conf
from taskworks.models import RunState, Worker
from taskworks.models.pause import QUEUE, Scope
from taskworks.models.run import FINISHED, UNFINISHED
from taskworks.sentences import Sentence, counted, sentence
from taskworks.store import Store
from taskworks.store.counting import Counted, InHand
from taskworks.store.surveying import QueueState

TO_EXECUTE = {RunState.READY, RunState.CLAIMED, RunState.RUNNING}


class Working(NamedTuple):
    """A worker, the time since its last heartbeat, its runs, and the slots that these take."""

    worker: Worker
    silence: timedelta
    runs_in_hand: int
    busy: int

    @classmethod
    def of(cls, worker: Worker, now: datetime, in_hand: Mapping[str, int] | None) -> "Working":
        """
        Return a worker as it is ``now``, with so many runs of each executor. If these could not be
        counted, as many slots are busy as its last heartbeat has said.
        """
        silence = max(now - worker.heartbeat_at, timedelta())
        if in_hand is None:
            return cls(worker, silence, 0, worker.busy)
        return cls(worker, silence, sum(in_hand.values()), worker.taken_slots(in_hand))

    @property
    def is_given_up(self) -> bool:
        """Whether other workers have given it up."""
        return self.worker.given_up_at is not None

    @property
    def is_silent(self) -> bool:
        """Whether it is not given up, but has sent no heartbeat for ``WORKER_TIMEOUT``."""
        return not self.is_given_up and self.silence.total_seconds() > conf().worker_timeout

    @property
    def is_living(self) -> bool:
        """Whether it is neither given up nor silent."""
        return not (self.is_given_up or self.is_silent)

    @property
    def outlook(self) -> Sentence:
        """What is known of its life, and what becomes of its runs if it is silent."""
        if self.is_given_up:
            return sentence(_("given up"))
        if not self.is_silent:
            return sentence(_("%(time)s ago"), time=self.silence)
        silent = sentence(_("silent for %(time)s"), time=self.silence)
        return self._with_return_of_runs(silent) if self.runs_in_hand else silent

    def _with_return_of_runs(self, silent: Sentence) -> Sentence:
        return counted(
            self.runs_in_hand,
            _(
                "%(silent)s; its %(number)s run comes back when another worker has lived "
                "%(seconds)s s"
            ),
            _(
                "%(silent)s; its %(number)s runs come back when another worker has lived "
                "%(seconds)s s"
            ),
            silent=silent,
            seconds=f"{conf().worker_timeout:g}",
        )


def tallies(store: Store, ready: Iterable[QueueState], finished_within: timedelta) -> list[Counted]:
    """
    Count the runs of each queue by state, given the ``survey`` of those that are ready; of finished
    runs only those that ended within ``finished_within``. The cost has a bound: of each state, and
    of each queue's ready runs, MAX_COUNTED are counted at most.
    """
    counted = [
        Counted(queue.backend, queue.queue_name, RunState.READY, queue.ready, queue.is_capped)
        for queue in ready
    ]
    for state in UNFINISHED:
        counted += store.count_by_queue(state) if state != RunState.READY else []
    since = store.read_clock() - finished_within
    for state in FINISHED:
        counted += store.count_finished(state, since)
    return sorted(counted)


def longest_wait(ready: Iterable[QueueState]) -> timedelta | None:
    """Return how long the oldest ready run has been ready; None if none is."""
    return max((queue.waited for queue in ready), default=None)


def workers(store: Store) -> list[Working]:
    """Return all workers that have a row, given up or not, the oldest first."""
    now = store.read_clock()
    in_hand = in_hand_of_each(store.held())
    rows = store.workers.order_by("started_at", "id")
    return [Working.of(worker, now, in_hand.get(worker.id, {})) for worker in rows]


def in_hand_of_each(held: Iterable[InHand]) -> Mapping[UUID, Mapping[str, int]]:
    """Return how many runs of each executor each worker has."""
    in_hand: dict[UUID, Counter[str]] = defaultdict(Counter)
    for one in held:
        in_hand[one.worker][one.executor] += one.number
    return in_hand


def unattended(
    tallies: list[Counted], workers: list[Working], paused: Collection[Scope]
) -> dict[str, int]:
    """
    Return the queues that have runs to execute now and that no living worker takes, with the number
    of these runs. What is ready in a ``paused`` queue is not to be executed now.
    """
    living = [working.worker for working in workers if working.is_living]
    work: Counter[str] = Counter()
    for tally in tallies:
        queue = Scope(QUEUE, tally.queue_name, tally.backend)
        is_held = tally.state == RunState.READY and queue in paused
        is_taken = any(
            worker.backend == tally.backend and worker.takes(tally.queue_name) for worker in living
        )
        if tally.state in TO_EXECUTE and not (is_held or is_taken):
            work[tally.queue_name] += tally.number
    return dict(work)
