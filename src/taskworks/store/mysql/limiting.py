"""Which limits have ready runs, which of their lanes are open, and the claim from these."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, takewhile
from typing import Any
from uuid import UUID

from django.db.models import Count

from taskworks.models import TaskRun
from taskworks.store.limited_names import (
    COLUMNS,
    FIRST_NAME,
    MAX_NAMES,
    Answers,
    LimitedName,
    Values,
)
from taskworks.store.limiting import FIRST, Line, Share, each_value
from taskworks.store.mysql.claiming import ClaimsByLock
from taskworks.store.rating import OpenLane


class LimitedClaims(ClaimsByLock):
    """Claims of runs that have a limit, without LATERAL."""

    def limited_names(
        self,
        after: LimitedName = FIRST_NAME,
        most: int = MAX_NAMES,
        known: Iterable[LimitedName] = (),
    ) -> list[LimitedName]:
        # As for ready_queues, but all probes that are known to be needed are one statement.
        answers = Answers(after, most, _first_after(after, known, most))
        names: list[LimitedName] = []
        while answers.open:
            names = answers.take_in(self._following_values(answers.open))
        return names

    def _following_values(self, questions: Sequence[Values]) -> dict[Values, str | None]:
        probes, parameters = [], list[Any]()
        for place, question in enumerate(questions):
            column = COLUMNS[len(question) - 1]
            same = "".join(f" AND {name} = %s" for name in COLUMNS[: len(question) - 1])
            probes.append(f"""
                SELECT {place}, MIN({column}) FROM {self._quoted(TaskRun)}
                WHERE state = 'ready'{same} AND {column} > %s""")  # noqa: S608 - names
            parameters += question
        rows = self._fetch(" UNION ALL ".join(probes), parameters)
        return {questions[place]: value for place, value in rows}

    def _has_limited(self, backend: str, name: str) -> tuple[str, list[str]]:
        # The limit comes before the queue in the index, so that is probed for each, by the column
        # behind these. A run that is put back meanwhile has a limit with a row: it was claimed.
        names = {*self.limits.values_list("name", flat=True)}
        names |= {*each_value(self.runs.ready().limited(), "limit_name")}
        probe = f"""(
            SELECT MIN(executor) FROM {self._quoted(TaskRun)}
            WHERE state = 'ready' AND limit_name = %s AND backend = %s AND queue_name = %s)"""  # noqa: S608 - names
        probes = ", ".join(["NULL", *[probe] * len(names)])
        parameters = [value for limit in sorted(names) for value in (limit, backend, name)]
        return f"COALESCE({probes})", parameters

    # MariaDB has no LATERAL, and both read everything ready for a recursive query. So lanes are
    # found one by one, and the slots in use are counted once for all of them.

    def _open_lanes(self, line: Line, after: str, at_once: int | None, most: int) -> list[OpenLane]:
        in_use: Counter[str] = Counter()
        if at_once is not None:
            held = self.runs.in_hand().filter(limit_name=line.limit, lane__isnull=False)
            in_use.update(dict(held.values_list("lane").annotate(Count("lane")).order_by()))
        limit = math.inf if at_once is None else at_once
        closed = {*line.closed}
        lanes = (
            OpenLane(lane, limit - in_use[lane])
            for lane in self._lanes_in_turn(line, after)
            if lane not in closed
        )
        return [*islice((lane for lane in lanes if lane.room > 0), most)]

    def _lanes_in_turn(self, line: Line, after: str) -> Iterator[str]:
        """Yield the lanes with ready runs: those after a lane, then those up to it."""
        yield from self._lanes_after(line, after)
        if after != FIRST:
            yield from takewhile(self._up_to(after), self._lanes_after(line, FIRST))

    def _lanes_after(self, line: Line, lane: str | None) -> Iterator[str]:
        first = "SELECT MIN(lane) AS lane FROM {} WHERE state = 'ready' AND limit_name = %s"
        of_queue = f"""
            {first.format(self._quoted(TaskRun))} AND backend = %s
                AND queue_name = %s AND executor = %s AND lane > %s"""
        statement = f"""
            SELECT MIN(lane) FROM ({" UNION ALL ".join([of_queue] * len(line.queues))}) AS first"""  # noqa: S608 - names
        while lane is not None:
            parameters = [
                value
                for queue in line.queues
                for value in (line.limit, line.backend, queue, line.executor, lane)
            ]
            [(lane,)] = self._fetch(statement, parameters)
            if lane is not None:
                yield lane

    @staticmethod
    def _up_to(last: str) -> Callable[[str], bool]:
        """Return whether a lane is not after the last, in the order of utf8mb4_bin."""
        return lambda lane: lane.encode() <= last.encode()

    def _take(self, worker: UUID, line: Line, shares: Sequence[Share]) -> list[TaskRun]:
        head = f"""
            (SELECT {self.rows.columns_of_limited()} FROM {self._quoted(TaskRun)}
            WHERE state = 'ready' AND limit_name = %s AND backend = %s AND queue_name = %s
                AND executor = %s AND lane = %s
            ORDER BY `rank`, available_at, id LIMIT %s
            FOR UPDATE SKIP LOCKED)"""  # noqa: S608 - only names are put in
        heads = [(share, queue) for share in shares for queue in line.queues]
        parameters = [
            value
            for share, queue in heads
            for value in (line.limit, line.backend, queue, line.executor, *share)
        ]
        rows = self._fetch(" UNION ALL ".join([head] * len(heads)), parameters)
        left = Counter(dict(shares))
        runs = [
            run
            for run in self.rows.claimed_limited(rows, limit_name=line.limit)
            if _take_one(left, run.lane)
        ]
        return self._hand_over(runs, worker) if runs else []


def _first_after(after: LimitedName, names: Iterable[LimitedName], most: int) -> list[LimitedName]:
    """Return the first of these names that come after one, in the order of utf8mb4_bin."""

    def place(name: LimitedName) -> list[bytes]:
        return [value.encode() for value in name]

    later = (name for name in {*names} if place(name) > place(after))
    return sorted(later, key=place)[:most]


def _take_one(left: Counter[str], lane: str | None) -> bool:
    """Count down what is left of a lane; return False if nothing is."""
    left[lane or ""] -= 1
    return left[lane or ""] >= 0
