"""
Count what people want to see, at a cost that has a bound: beyond so many, there are only "more".

To count all runs of a state is to read them all. These statements read the beginning of an index,
and hop from queue to queue in it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from django.db.models import Count

from taskworks.models import Failure, RunState, TaskRun
from taskworks.models.run import IN_HAND
from taskworks.store.claiming import Claiming
from taskworks.store.limited_names import LimitedName

COUNTED_AT_ONCE = 100  # queues, by one statement
HEAD = ("backend", "queue_name", "executor", "rank")
# The conditions of the indexes, as they spell them.
IN_INDEX = {
    RunState.BLOCKED: "state = 'blocked'",
    RunState.SCHEDULED: "state = 'scheduled'",
    RunState.CLAIMED: "state IN ('claimed', 'running') AND state = 'claimed'",
    RunState.RUNNING: "state IN ('claimed', 'running') AND state = 'running'",
    RunState.SUCCESSFUL: "state = 'successful' AND finished_at IS NOT NULL",
    RunState.FAILED: "state = 'failed' AND finished_at IS NOT NULL",
    RunState.CANCELLED: "state = 'cancelled' AND finished_at IS NOT NULL",
}

Queue = tuple[str, str]  # backend, name


class Depth(NamedTuple):
    """How many runs of a queue are ready, and the seconds that the first of those counted is."""

    ready: int
    waited: float | None

    def plus(self, other: "Depth") -> "Depth":
        """Return the depth of both."""
        known = [one for one in (self.waited, other.waited) if one is not None]
        return Depth(self.ready + other.ready, max(known, default=None))


NO_DEPTH = Depth(0, None)


class InHand(NamedTuple):
    """How many runs of a queue a worker has in this state."""

    worker: Any
    backend: str
    queue_name: str
    state: str
    number: int


class Counting(Claiming):
    """Counts for pages that people look at all the time."""

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

    def ready_heads(self, backends: Sequence[str], most: int) -> dict[Queue, float | None]:
        """
        Return the queues that have ready runs without a limit, and the seconds that the first of
        them is ready; None where that is not known. Each queue, executor and priority costs a probe
        of the index; of these there are ``most`` at most. MySQL and MariaDB know only ``backends``.
        """
        columns = ", ".join(HEAD)
        of_last = ", ".join(f"last.{column}" for column in HEAD)
        runs, order = self._quoted(TaskRun), f"{columns}, available_at, id"
        seconds, clock = self._seconds_until("MIN(last.available_at)")
        ready = f"SELECT id FROM {runs} WHERE state = 'ready' AND lane IS NULL"  # noqa: S608 - a name
        statement = f"""
            WITH RECURSIVE found (id, place) AS (
                SELECT ({ready} ORDER BY {order} LIMIT 1), 1
                UNION ALL
                SELECT ({ready} AND ({columns}) > ({of_last}) ORDER BY {order} LIMIT 1), place + 1
                FROM found JOIN {runs} AS last ON last.id = found.id WHERE place < %s
            )
            SELECT last.backend, last.queue_name, {seconds}
            FROM found JOIN {runs} AS last ON last.id = found.id
            GROUP BY last.backend, last.queue_name"""  # noqa: S608 - names
        rows = self._fetch(statement, [most, *clock])
        return {(backend, name): -float(left) for backend, name, left in rows}

    def depths(
        self, queues: Iterable[Queue], limited: Iterable[LimitedName], most: int
    ) -> dict[Queue, Depth]:
        """
        Return the depth of these queues, and of those in which ``limited`` runs are ready. Of each,
        ``most`` runs without a limit are counted at most, and as many of each limit. The first of
        those counted may not be the oldest of all.
        """
        of_queue = "backend = %s AND queue_name = %s"
        unlimited = f"state = 'ready' AND {self._unlimited} AND {of_queue}"
        of_limit = f"state = 'ready' AND {self._limited} AND limit_name = %s AND {of_queue}"
        parts: list[tuple[Queue, str, Sequence[str]]] = [
            *((queue, unlimited, queue) for queue in queues),
            *(
                ((name.backend, name.queue), f"{of_limit} AND executor = %s", name)
                for name in limited
            ),
        ]
        depths: dict[Queue, Depth] = {}
        for start in range(0, len(parts), COUNTED_AT_ONCE):
            some = parts[start : start + COUNTED_AT_ONCE]
            for queue, depth in zip(
                (queue for queue, *_ in some), self._counted(some, most), strict=True
            ):
                depths[queue] = depths.get(queue, NO_DEPTH).plus(depth)
        return depths

    def _counted(
        self, parts: Sequence[tuple[Queue, str, Sequence[str]]], most: int
    ) -> Iterator[Depth]:
        """Yield the depth of each part, whose runs fulfil a condition with these parameters."""
        runs = self._quoted(TaskRun)
        seconds, clock = self._seconds_until("MIN(available_at)")
        counted = "(SELECT available_at FROM {} WHERE {} LIMIT %s) AS counted"
        statement = " UNION ALL ".join(
            f"SELECT {place}, COUNT(*), {seconds} FROM {counted.format(runs, where)}"  # noqa: S608
            for place, (_, where, _) in enumerate(parts)
        )
        parameters = [value for *_, values in parts for value in (*clock, *values, most)]
        for _, number, left in sorted(self._fetch(statement, parameters)):
            yield Depth(number, None if left is None else -float(left))

    def held(self) -> list[InHand]:
        """Return how many runs of each queue each worker has; there are as many as slots."""
        counted = self.runs.filter(state__in=IN_HAND).values_list(
            "claimed_by", "backend", "queue_name", "state"
        )
        return [*map(InHand._make, counted.annotate(Count("id")).order_by())]

    def arrivals(self, newest: int, within: float) -> list[tuple[str, str, int, float]]:
        """
        Return how many runs of each queue were enqueued ``within`` so many seconds, and how many
        seconds ago the first of them; only the ``newest`` runs are looked at.
        """
        seconds, clock = self._seconds_until("MIN(enqueued_at)")
        age, _ = self._seconds_until("enqueued_at")
        statement = f"""
            SELECT backend, queue_name, COUNT(*), {seconds} FROM (
                SELECT backend, queue_name, enqueued_at FROM {self._quoted(TaskRun)}
                ORDER BY id DESC LIMIT %s) AS newest
            WHERE {age} >= %s GROUP BY backend, queue_name"""  # noqa: S608 - names
        rows = self._fetch(statement, [*clock, newest, *clock, -within])
        return [(backend, name, number, -float(left)) for backend, name, number, left in rows]

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
