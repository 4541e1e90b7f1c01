"""Counts the outcomes of a worker's attempts in memory, until they are written."""

import threading
from collections.abc import Iterable
from datetime import datetime
from math import ceil, log2
from typing import NamedTuple, get_args

from taskworks import real_time as time
from taskworks.database.clock import as_stored, python_s_time
from taskworks.exceptions import TaskTimeout
from taskworks.execution import Attempt, Failed, Outcome, Retried
from taskworks.models import RunState, TaskRun
from taskworks.models.statistic import COUNTS, OTHERS, TEN_SECONDS
from taskworks.recording.events import Attempts, Subscriber
from taskworks.statistics.histogram import HIGHEST, LEAST, LOWEST, PER_DOUBLING
from taskworks.statistics.tally import Tally

MAX_SERIES = 200  # pairs of a queue and a task that are told apart in one flush
MAX_QUEUES = 2 * MAX_SERIES  # then queues are not told apart either

# Of the counts that an outcome raises. An attempt may have no outcome.
PLACES: dict[type, tuple[int, ...]] = {
    outcome: tuple(map(COUNTS.index, outcome.counts)) for outcome in get_args(Outcome)
} | {type(None): ()}
ATTEMPTS, TIMED_OUT = COUNTS.index("attempts"), COUNTS.index("timed_out")
TIMEOUT = f"{TaskTimeout.__module__}.{TaskTimeout.__qualname__}"
PATH = "exception_class_path"
MAY_TIME_OUT = (Failed, Retried)


class Series(NamedTuple):
    """What one row is about."""

    since: int  # Unix time, the beginning of ten seconds
    backend: str
    queue_name: str
    task_path: str


class Collector(Subscriber):
    """
    Counts what it hears, under the ten seconds in which a run finished, or an attempt ended. May be
    asked in any thread. It does nothing per attempt but add, and tells at most MAX_SERIES apart.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tallies: dict[tuple[int, str, str, str], Tally] = {}

    def recorded(self, attempts: Attempts) -> None:
        with self._lock:
            self._count(attempts)

    def rescued(self, runs: Iterable[TaskRun]) -> None:
        """Count runs that were made ready, failed or cancelled because their workers had died."""
        now = as_stored(python_s_time())  # of runs that are ready again, nobody compares it
        with self._lock:
            for run in runs:
                self._count_rescued(run, period_of(run.finished_at or now))

    def take(self) -> dict[Series, Tally]:
        """Return what was counted since the last call, by series."""
        with self._lock:
            taken, self._tallies = self._tallies, {}
        return {Series(*key): tally for key, tally in taken.items()}

    def _count(self, attempts: Iterable[Attempt]) -> None:
        # A worker does this for each of its runs, so it calls no function of Python's.
        tallies, now = self._tallies, time.monotonic()
        for attempt in attempts:
            run, began = attempt.run, attempt.began
            claimed_at = run.claimed_at
            assert claimed_at is not None, "it was claimed"  # noqa: S101
            if (finished_at := run.finished_at) is not None:
                ended_at = finished_at.timestamp()
            else:
                ended_at = claimed_at.timestamp() + now - attempt.claimed
            since = int(ended_at) // TEN_SECONDS * TEN_SECONDS
            key = since, run.backend, run.queue_name, run.callable_path or run.task_path
            tally = tallies.get(key) or self._new_tally(key)
            outcome = attempt.outcome
            for place in PLACES[outcome.__class__]:
                tally.counts[place] += 1
            if began is None:
                continue
            tally.counts[ATTEMPTS] += 1
            if outcome.__class__ in MAY_TIME_OUT and outcome.entry[PATH] == TIMEOUT:
                tally.counts[TIMED_OUT] += 1
            took = (attempt.ended or now) - began
            waited = (claimed_at - attempt.due_at).total_seconds() + began - attempt.claimed
            waited = max(0.0, waited)  # somebody may have set the clock back
            tally.run_sum += took
            tally.wait_sum += waited
            if tally.run_max is None or took > tally.run_max:
                tally.run_max = took
            for seconds, histogram in ((took, tally.runs), (waited, tally.waits)):
                bucket = ceil(PER_DOUBLING * log2(seconds)) if seconds > LEAST else LOWEST
                bucket = min(bucket, HIGHEST)
                counts = histogram.counts
                counts[bucket] = counts.get(bucket, 0) + 1

    def _count_rescued(self, run: TaskRun, since: int) -> None:
        key = since, run.backend, run.queue_name, run.called_path
        tally = self._tallies.get(key) or self._new_tally(key)
        match run.state:
            case RunState.FAILED:
                names: tuple[str, ...] = ("failed", "lost")
            case RunState.CANCELLED:
                names = ("cancelled",)
            case _:
                names = ("rescued",)
        for name in names:
            tally.counts[COUNTS.index(name)] += 1

    def _new_tally(self, key: tuple[int, str, str, str]) -> Tally:
        """Return the tally of a series that has none, which may be that of all others."""
        since, backend, queue_name, _ = key
        if len(self._tallies) >= MAX_QUEUES:
            key = since, backend, OTHERS, OTHERS
        elif len(self._tallies) >= MAX_SERIES:
            key = since, backend, queue_name, OTHERS
        return self._tallies.setdefault(key, Tally())


class NoCollector(Collector):
    """Hears nothing, and has nothing to write: statistics are switched off."""

    recorded = Subscriber.recorded

    def rescued(self, runs: Iterable[TaskRun]) -> None:
        """Count nothing."""


def period_of(moment: datetime) -> int:
    """Return the Unix time at which the ten seconds of a stored moment began."""
    return int(moment.timestamp()) // TEN_SECONDS * TEN_SECONDS
