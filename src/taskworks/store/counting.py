"""
Count what people look at all the time, at a cost that has a bound: beyond so many, there are only
"more". To count all runs of a state is to read them all.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Count

from taskworks.models import Failure, RunState, TaskRun
from taskworks.models.run import IN_HAND, TaskRunQuerySet
from taskworks.store.base import Base

MAX_COUNTED = 10_000  # runs of one queue, or of one state
LATEST_FAILED = 200  # runs, of which those are counted that are in no group yet

# The conditions of the indexes, as they spell them, or SQLite does not use these.
IN_INDEX = {
    RunState.BLOCKED: "state = 'blocked'",
    RunState.SCHEDULED: "state = 'scheduled'",
    RunState.CLAIMED: "state IN ('claimed', 'running') AND state = 'claimed'",
    RunState.RUNNING: "state IN ('claimed', 'running') AND state = 'running'",
    RunState.SUCCESSFUL: "state = 'successful' AND finished_at IS NOT NULL",
    RunState.FAILED: "state = 'failed' AND finished_at IS NOT NULL",
    RunState.CANCELLED: "state = 'cancelled' AND finished_at IS NOT NULL",
}


class Counted(NamedTuple):
    """How many runs of a queue are in a state."""

    backend: str
    queue_name: str
    state: RunState
    number: int
    is_capped: bool = False  # there are that many, or more


class InHand(NamedTuple):
    """How many runs of a queue and an executor a worker has in this state."""

    worker: Any
    backend: str
    queue_name: str
    executor: str
    state: str
    number: int


class Counting(Base):
    """Counts for pages, commands and metrics."""

    def count_states(self, most: int) -> dict[RunState, int]:
        """Return how many runs are in each state; of each, ``most`` at most. One statement."""
        parts = list(IN_INDEX.items())
        parts += [
            (RunState.READY, f"state = 'ready' AND {some}")
            for some in (self._unlimited, self._limited)
        ]
        runs = self._quoted(TaskRun)
        counted = "(SELECT 1 AS one FROM {} WHERE {} LIMIT %s) AS counted"
        statement = " UNION ALL ".join(
            f"SELECT '{state.value}', COUNT(*) FROM {counted.format(runs, where)}"  # noqa: S608 - names
            for state, where in parts
        )
        counts: Counter[RunState] = Counter()
        for state, number in self._fetch(statement, [most] * len(parts)):
            counts[RunState(state)] += number
        return {state: min(counts[state], most) for state in RunState}

    def count_each(self, *runs: TaskRunQuerySet) -> list[int]:
        """Return how many runs each of these has, in one statement."""
        counts, parameters = [], list[Any]()
        for place, some in enumerate(runs):
            sql, its_parameters = some.values("id").query.get_compiler(self.alias).as_sql()
            counts.append(f"SELECT {place}, COUNT(*) FROM ({sql}) AS counted{place}")  # noqa: S608 - of the ORM
            parameters += its_parameters
        found = dict(self._fetch(" UNION ALL ".join(counts), parameters))
        return [found[place] for place in range(len(runs))]

    def count_by_queue(self, state: RunState, cap: int = MAX_COUNTED) -> list[Counted]:
        """
        Return how many runs each queue has in a state that is neither ready nor an end. ``cap``
        runs are counted together: those that have waited longest, or are due next.
        """
        order = "" if state in IN_HAND else "ORDER BY available_at, id"
        return self._grouped(state, order, [], cap)

    def count_finished(
        self, state: RunState, since: datetime, cap: int = MAX_COUNTED
    ) -> list[Counted]:
        """Return how many runs of each queue have ended so since; the latest ``cap`` of all."""
        moment = self.connection.ops.adapt_datetimefield_value(since)
        of_late = "AND finished_at >= %s ORDER BY finished_at DESC"
        return self._grouped(state, of_late, [moment], cap)

    def _grouped(
        self, state: RunState, more: str, parameters: Sequence[Any], cap: int
    ) -> list[Counted]:
        statement = f"""
            SELECT backend, queue_name, COUNT(*) FROM (
                SELECT backend, queue_name FROM {self._quoted(TaskRun)}
                WHERE {IN_INDEX[state]} {more} LIMIT {int(cap) + 1}
            ) AS counted GROUP BY backend, queue_name"""  # noqa: S608 - names, and our conditions
        rows = self._fetch(statement, parameters)
        is_capped = sum(number for *_, number in rows) > cap
        return [Counted(backend, queue, state, n, is_capped) for backend, queue, n in rows]

    def held(self) -> list[InHand]:
        """Return how many runs of each queue and executor each worker has."""
        columns = ("claimed_by", "backend", "queue_name", "executor", "state")
        counted = self.runs.in_hand().values_list(*columns)
        return [*map(InHand._make, counted.annotate(Count("id")).order_by())]

    def count_ungrouped(self, most: int = LATEST_FAILED) -> int:
        """Return how many of the ``most`` runs that failed last are in no group of failures yet."""
        statement = f"""
            SELECT COUNT(*) FROM (
                SELECT id, finished_at FROM {self._quoted(TaskRun)}
                WHERE state = 'failed' AND finished_at IS NOT NULL
                ORDER BY finished_at DESC, id DESC LIMIT %s
            ) AS latest
            WHERE NOT EXISTS (
                SELECT 1 FROM {self._quoted(Failure)} AS failure
                WHERE failure.run = latest.id AND failure.at = latest.finished_at)"""  # noqa: S608 - names
        [(number,)] = self._fetch(statement, [most])
        return int(number)

    def count_open(self, fingerprints: Sequence[str], most: int) -> dict[str, int]:
        """Return how many runs of each group of failures are failed now, ``most`` at most."""
        if not fingerprints:
            return {}
        of_group = f"""
            SELECT %s, COUNT(*) FROM (
                SELECT 1 AS one FROM {self._quoted(Failure)} AS failure
                JOIN {self._quoted(TaskRun)} AS run ON run.id = failure.run
                WHERE failure.fingerprint = %s AND run.state = 'failed'
                    AND run.finished_at = failure.at
                LIMIT %s) AS counted"""  # noqa: S608 - names
        statement = " UNION ALL ".join([of_group] * len(fingerprints))
        parameters = [value for one in fingerprints for value in (one, one, most)]
        return dict(self._fetch(statement, parameters))
