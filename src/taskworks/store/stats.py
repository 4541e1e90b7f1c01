"""Statistics for people: how many runs there are, how long they wait, and which workers live."""

from datetime import timedelta
from typing import NamedTuple

from django.db.models import Count, Min

from taskworks.database.clock import DatabaseClock
from taskworks.models import RunState, Worker
from taskworks.models.run import TaskRunQuerySet
from taskworks.store import Store


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


def tallies(store: Store, finished_within: timedelta) -> list[Tally]:
    """
    Count the runs of each queue by state; of finished runs only those that ended within
    ``finished_within``. The cost grows with the runs counted: each state is read from its index.
    """
    recent = store.runs.finished().filter(finished_at__gte=DatabaseClock(-finished_within))
    runs = store.runs
    parts = [runs.blocked(), runs.scheduled(), runs.ready(), runs.in_hand(), recent]
    return sorted(tally for part in parts for tally in _tallied(part))


def longest_wait(store: Store) -> timedelta | None:
    """Return how long the oldest ready run has been ready; None if none is."""
    since = store.runs.ready().aggregate(since=Min("available_at"))["since"]
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


def _tallied(runs: TaskRunQuerySet) -> list[Tally]:
    rows = runs.values_list("backend", "queue_name", "state").annotate(Count("id")).order_by()
    return [Tally(backend, queue, RunState(state), count) for backend, queue, state, count in rows]
