"""Reads for the faces: how many runs there are, how long they wait, who works."""

from datetime import timedelta
from typing import NamedTuple

from django.db.models import Count, Min

from taskworks.database.clock import DatabaseClock
from taskworks.models import RunState, Worker
from taskworks.models.run import TaskRunQuerySet
from taskworks.store import Store


class Tally(NamedTuple):
    """How many runs of a queue are in a state."""

    backend: str
    queue_name: str
    state: RunState
    number: int


class Working(NamedTuple):
    """A worker, how long it has been silent, and how many runs it has."""

    worker: Worker
    silence: timedelta
    runs_in_hand: int


def tallies(store: Store, finished_within: timedelta) -> list[Tally]:
    """
    How many runs of each queue are in which state; of the finished ones only those that ended so
    short a time ago. The cost is that of the runs counted: each state is read from its index.
    """
    recent = store.runs.finished().filter(finished_at__gte=DatabaseClock(-finished_within))
    runs = store.runs
    parts = [runs.blocked(), runs.scheduled(), runs.ready(), runs.in_hand(), recent]
    return sorted(tally for part in parts for tally in _tallied(part))


def longest_wait(store: Store) -> timedelta | None:
    """How long the oldest ready run has been ready; None if none is."""
    since = store.runs.ready().aggregate(since=Min("available_at"))["since"]
    return None if since is None else max(store.read_clock() - since, timedelta())


def workers(store: Store) -> list[Working]:
    """Those that run, and those given up whose rows are still there; the oldest first."""
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
