"""
Look at each queue that has ready runs: how many, and how long they have waited. The cost has a
bound however many queues and runs there are.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any, NamedTuple

from taskworks.chunks import in_chunks
from taskworks.models import TaskRun
from taskworks.options.policy import LANES
from taskworks.store.claiming import Claiming
from taskworks.store.counting import MAX_COUNTED
from taskworks.store.limited_names import LimitedNames

MAX_COUNTED_IN_ALL = 200_000  # ready runs of all queues
MAX_QUEUES = 2000  # of one backend, and of all limits, that a look finds
PER_STATEMENT = 100  # queues
LINES_PER_STATEMENT = 150  # with five variables each; SQLite may allow only 999
LOWEST = -(2**15)  # no rank is as low


class QueueState(NamedTuple):
    """The ready runs of a queue."""

    backend: str
    queue_name: str
    ready: int = 0
    is_capped: bool = False  # there are that many, or more
    waited: timedelta = timedelta()  # since the oldest was ready
    executors: frozenset[str] = frozenset()  # some of those that they have

    @property
    def ready_in_words(self) -> str:
        """The number, and that it may be too small."""
        return f"{self.ready:,}{' or more' if self.is_capped else ''}"

    def _plus(self, other: "QueueState") -> "QueueState":
        return self._replace(
            ready=self.ready + other.ready,
            is_capped=self.is_capped or other.is_capped,
            waited=max(self.waited, other.waited),
            executors=self.executors | other.executors,
        )


class _Part(NamedTuple):
    """Ready runs whose entries in an index stand side by side."""

    backend: str
    queue_name: str
    limit: str | None = None


class _Line(NamedTuple):
    """Ready runs of a part with the same executor and rank, of which the index has the oldest."""

    part: _Part
    executor: str
    rank: int


class Surveying(Claiming, LimitedNames):
    """Look at all queues for people, charts and alarms."""

    def survey(
        self, cap: int = MAX_COUNTED, in_all: int = MAX_COUNTED_IN_ALL, queues: int = MAX_QUEUES
    ) -> list[QueueState]:
        """
        Return the queues that have ready runs, in the order of their names: of each backend up to
        ``queues``, and as many of limits. Of each queue ``cap`` runs are counted, or fewer so that
        it is not many more than ``in_all`` together. The oldest of runs with a limit is looked for
        among as many.
        """
        parts = [*self._unlimited_parts(queues), *self._limited_parts(queues)]
        each = max(1, min(cap, in_all // max(1, len(parts))))
        states: dict[tuple[str, str], QueueState] = {}
        for part, state in self._counted_parts(parts, each):
            key = part.backend, part.queue_name
            states[key] = states[key]._plus(state) if key in states else state
        return [states[key] for key in sorted(states)]

    def _unlimited_parts(self, most: int) -> Iterator[_Part]:
        backend: str | None = ""
        while (backend := self._next_backend(backend or "")) is not None:
            for name in self.ready_queues(backend, limit=most):
                yield _Part(backend, name)

    def _next_backend(self, after: str) -> str | None:
        ready = f"FROM {self._quoted(TaskRun)} WHERE state = 'ready' AND {self._unlimited}"
        [(name,)] = self._fetch(f"SELECT MIN(backend) {ready} AND backend > %s", [after])
        return name  # type: ignore[no-any-return]

    def _limited_parts(self, most: int) -> Iterable[_Part]:
        names = islice(self.every_limited_name(), most)
        return dict.fromkeys(_Part(name.backend, name.queue, name.limit) for name in names)

    def _counted_parts(
        self, parts: Sequence[_Part], cap: int
    ) -> Iterator[tuple[_Part, QueueState]]:
        for some in in_chunks(parts, PER_STATEMENT):
            rows = defaultdict(list)
            for place, *row in self._count_some(some, cap):
                rows[place].append(row)
            capped = [
                part
                for place, part in enumerate(some)
                if part.limit is None and sum(count for _, count, _ in rows[place]) > cap
            ]
            oldest = self._oldest_of(capped)
            for place, part in enumerate(some):
                yield part, self._state_of(part, rows[place], cap, oldest.get(part))

    def _count_some(self, parts: Sequence[_Part], cap: int) -> list[tuple[Any, ...]]:
        """Return rows of a part's place, an executor, a number and the seconds of the oldest."""
        seconds, clock = self._seconds_until("MIN(available_at)")
        statements, parameters = [], list[Any]()
        for place, part in enumerate(parts):
            condition, values = self._condition(part)
            statements.append(f"""
                SELECT {place}, executor, COUNT(*), {seconds} FROM (
                    SELECT executor, available_at FROM {self._quoted(TaskRun)}
                    WHERE {condition} {self._in_order(part)} LIMIT {int(cap) + 1}
                ) AS counted GROUP BY executor""")  # noqa: S608 - names, and our conditions
            parameters += [*clock, *values]
        return self._fetch(" UNION ALL ".join(statements), parameters)

    def _state_of(
        self, part: _Part, rows: Iterable[Sequence[Any]], cap: int, oldest: dict[str, float] | None
    ) -> QueueState:
        """Return the state, given the ages by executor if the rows are not all there are."""
        number = sum(count for _, count, _ in rows)
        if oldest is None:
            oldest = {executor: -float(seconds) for executor, _, seconds in rows}
        return QueueState(
            part.backend,
            part.queue_name,
            min(number, cap),
            number > cap,
            timedelta(seconds=round(max([0.0, *oldest.values()]), 3)),  # SQLite's are not exact
            frozenset(oldest),
        )

    def _oldest_of(self, parts: Sequence[_Part]) -> dict[_Part, dict[str, float]]:
        """
        Return the age of the oldest run by executor, with a probe of the index for each rank. Those
        of all parts are looked for together, so that the statements are about as many as ranks.
        """
        oldest: dict[_Part, dict[str, float]] = {part: {} for part in parts}
        lines = [_Line(part, executor, LOWEST) for part in parts for executor in LANES]
        size = 1 if self.connection.vendor == "mysql" else LINES_PER_STATEMENT
        while lines:
            following: list[_Line] = []
            for some in in_chunks(lines, size):
                for place, left, rank in self._probe(some):
                    part, executor, _ = line = some[place]
                    if left is not None:
                        known = oldest[part].get(executor, 0.0)
                        oldest[part][executor] = max(known, -float(left))
                    if rank is not None:
                        following.append(line._replace(rank=rank))
            lines = following
        return oldest

    def _probe(self, lines: Sequence[_Line]) -> list[tuple[Any, ...]]:
        """Return rows of a line's place, the seconds of its oldest run, and the rank after it."""
        if self.connection.vendor == "mysql":  # which would read all of a lane for several
            [line] = lines
            return [(0, *self._probe_one(line))]
        rank = self.connection.ops.quote_name("rank")
        seconds, clock = self._seconds_until("available_at")
        ready = f"""
            FROM {self._quoted(TaskRun)} AS run WHERE state = 'ready' AND {self._unlimited}
            AND run.backend = line.backend AND run.queue_name = line.queue
            AND run.executor = line.executor AND run.{rank}"""
        given = ["SELECT %s AS place, %s AS backend, %s AS queue, %s AS executor, %s AS lowest"]
        given += ["SELECT %s, %s, %s, %s, %s"] * (len(lines) - 1)
        statement = f"""
            SELECT place,
                (SELECT {seconds} {ready} = line.lowest ORDER BY run.available_at LIMIT 1),
                (SELECT run.{rank} {ready} > line.lowest ORDER BY run.{rank} LIMIT 1)
            FROM ({" UNION ALL ".join(given)}) AS line"""  # noqa: S608 - names
        values = [
            value
            for place, (part, executor, lowest) in enumerate(lines)
            for value in (place, part.backend, part.queue_name, executor, lowest)
        ]
        return self._fetch(statement, [*clock, *values])

    def _probe_one(self, line: _Line) -> tuple[Any, Any]:
        seconds, clock = self._seconds_until("MIN(available_at)")
        rank = self.connection.ops.quote_name("rank")
        condition, values = self._condition(line.part)
        ready = f"FROM {self._quoted(TaskRun)} WHERE {condition} AND executor = %s AND {rank}"
        known = [*values, line.executor, line.rank]
        left = None
        if line.rank != LOWEST:
            [(left,)] = self._fetch(f"SELECT {seconds} {ready} = %s", [*clock, *known])
        [(following,)] = self._fetch(f"SELECT MIN({rank}) {ready} > %s", known)
        return left, following

    def _condition(self, part: _Part) -> tuple[str, list[Any]]:
        values = [part.backend, part.queue_name]
        of_queue = "backend = %s AND queue_name = %s"
        if part.limit is None:
            return f"state = 'ready' AND {self._unlimited} AND {of_queue}", values
        limited = f"state = 'ready' AND {self._limited} AND limit_name = %s"
        return f"{limited} AND {of_queue}", [part.limit, *values]

    def _in_order(self, part: _Part) -> str:
        """Return SQL for the order of the index, without which PostgreSQL may read the table."""
        if self.connection.vendor == "mysql":  # which may sort instead, and needs no hint
            return ""
        return "ORDER BY executor, rank" if part.limit is None else "ORDER BY executor, lane, rank"
