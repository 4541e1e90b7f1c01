"""Statistics for people: how many runs there are, how long they wait, and which workers live."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from datetime import timedelta
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

from django.db.models import Count, Min, QuerySet

from taskworks.conf import conf
from taskworks.database.clock import DatabaseClock
from taskworks.durations import in_words
from taskworks.models import RunState, TaskRun, Worker
from taskworks.models.pause import QUEUE, Scope
from taskworks.models.run import TaskRunQuerySet
from taskworks.store import Store

Rows: TypeAlias = QuerySet[TaskRun, Any]

TO_EXECUTE = {RunState.READY, RunState.CLAIMED, RunState.RUNNING}


class Tally(NamedTuple):
    """The number of runs of a queue in one state."""

    backend: str
    queue_name: str
    state: RunState
    number: int


class Working(NamedTuple):
    """A worker, the time since its last heartbeat, and the number of its runs."""

    worker: Worker
    silence: timedelta
    runs_in_hand: int

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
    def outlook(self) -> str:
        """What is known of its life, and what becomes of its runs if it is silent."""
        if self.is_given_up:
            return "given up"
        if not self.is_silent:
            return f"{in_words(self.silence)} ago"
        silent = f"silent for {in_words(self.silence)}"
        return f"{silent}; {self._return_of_runs}" if self.runs_in_hand else silent

    @property
    def _return_of_runs(self) -> str:
        one = self.runs_in_hand == 1
        runs = "its 1 run comes" if one else f"its {self.runs_in_hand} runs come"
        return f"{runs} back when another worker has lived {conf().worker_timeout:g} s"


def tallies(store: Store, finished_within: timedelta) -> list[Tally]:
    """
    Count the runs of each queue by state; of finished runs only those that ended within
    ``finished_within``. The cost grows with the runs counted: each state is read from its index.
    """
    runs = store.runs
    recent = runs.finished().filter(finished_at__gte=DatabaseClock(-finished_within))
    parts = [runs.blocked(), runs.scheduled(), runs.in_hand(), recent]
    counted = [_counted(part) for part in parts]
    return _added(chain(_of_ready(store, _counted), *counted))


def longest_wait(store: Store) -> timedelta | None:
    """Return how long the oldest ready run has been ready; None if none is."""
    moments = [moment for _, moment in _of_ready(store, _oldest)]
    since = min(moments, default=None)
    return None if since is None else max(store.read_clock() - since, timedelta())


def workers(store: Store) -> list[Working]:
    """Return all workers that have a row, given up or not, the oldest first."""
    now = store.read_clock()
    counts = store.runs.in_hand().values_list("claimed_by").annotate(Count("id")).order_by()
    in_hand = dict(counts)
    return [
        Working(worker, max(now - worker.heartbeat_at, timedelta()), in_hand.get(worker.id, 0))
        for worker in store.workers.order_by("started_at", "id")
    ]


def unattended(
    tallies: list[Tally], workers: list[Working], paused: Collection[Scope]
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


def _of_ready(store: Store, read: Callable[[TaskRunQuerySet], Rows]) -> Rows:
    """Return what is read of the runs that are ready, in one statement from both their indexes."""
    ready = store.runs.ready()
    return read(ready.unlimited()).union(read(ready.limited()), all=True)


def _counted(runs: TaskRunQuerySet) -> Rows:
    return runs.values_list("backend", "queue_name", "state").annotate(Count("id")).order_by()


def _oldest(runs: TaskRunQuerySet) -> Rows:
    return runs.values_list("state").annotate(Min("available_at")).order_by()


def _added(rows: Iterable[tuple[str, str, str, int]]) -> list[Tally]:
    """Return the tallies of these counts; of ready runs, a queue may have two."""
    counts: Counter[tuple[str, str, RunState]] = Counter()
    for backend, queue_name, state, number in rows:
        counts[backend, queue_name, RunState(state)] += number
    return sorted(Tally(*queue_and_state, number) for queue_and_state, number in counts.items())
