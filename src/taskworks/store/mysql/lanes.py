"""
Which lanes of a limit are open.

MariaDB has no LATERAL, and both read everything ready for a recursive query. So lanes are found one
by one, or some of them in a window of runs, where each has few of these; and the slots in use are
counted once for all of them.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, takewhile

from django.db.models import Count

from taskworks.models import TaskRun
from taskworks.store.limiting import FIRST, Line
from taskworks.store.mysql.claiming import ClaimsByLock
from taskworks.store.rating import OpenLane

WINDOW = 500  # ready runs that are read to find the lanes that follow
WORTH_A_WINDOW = 5  # lanes found in one
PROBES = 20  # of one lane each, before another window is tried


class Lanes(ClaimsByLock):
    """Finds the lanes that have ready runs and free slots, in turn."""

    def _open_lanes(self, line: Line, after: str, at_once: int | None, most: int) -> list[OpenLane]:
        in_use: Counter[str] = Counter()
        if at_once is not None:
            held = self.runs.in_hand().filter(limit_name=line.limit, lane__isnull=False)
            in_use.update(dict(held.values_list("lane").annotate(Count("lane")).order_by()))
        limit = math.inf if at_once is None else at_once
        closed = {*line.closed}
        lanes = (
            OpenLane(lane, limit - in_use[lane])
            for lane in self._lanes_in_turn(line, after, most)
            if lane not in closed
        )
        return [*islice((lane for lane in lanes if lane.room > 0), most)]

    def _lanes_in_turn(self, line: Line, after: str, most: int) -> Iterator[str]:
        """
        Yield the lanes with ready runs: those after a lane, then those up to it. About ``most`` of
        them will be asked for.
        """
        yield from self._lanes_after(line, after, most)
        if after != FIRST:
            yield from takewhile(self._up_to(after), self._lanes_after(line, FIRST, most))

    def _lanes_after(self, line: Line, lane: str, most: int) -> Iterator[str]:
        probes = PROBES if most < WORTH_A_WINDOW else 0
        while True:
            for _ in range(probes):
                found = self._next_lane(line, lane)
                yield from found
                if not found:
                    return
                [lane] = found
            found = self._lanes_in_window(line, lane)
            yield from found
            if not found:
                return
            lane = found[-1]
            probes = PROBES if len(found) < WORTH_A_WINDOW else 0

    def _lanes_in_window(self, line: Line, after: str) -> Sequence[str]:
        """Return the lanes that the next so many runs have; none if there are no more."""
        if len(line.queues) > 1:  # their windows end at different lanes
            return self._next_lane(line, after)
        statement = f"""
            SELECT DISTINCT lane FROM (
                SELECT lane FROM {self._quoted(TaskRun)}
                WHERE state = 'ready' AND limit_name = %s AND backend = %s
                    AND queue_name = %s AND executor = %s AND lane > %s
                ORDER BY lane LIMIT {WINDOW}
            ) AS following"""  # noqa: S608 - a table's name
        parameters = [line.limit, line.backend, *line.queues, line.executor, after]
        return sorted((lane for (lane,) in self._fetch(statement, parameters)), key=str.encode)

    def _next_lane(self, line: Line, after: str) -> Sequence[str]:
        """Return the next lane in a list; an empty one if there are no more."""
        of_queue = f"""
            SELECT MIN(lane) AS lane FROM {self._quoted(TaskRun)}
            WHERE state = 'ready' AND limit_name = %s AND backend = %s
                AND queue_name = %s AND executor = %s AND lane > %s"""  # noqa: S608 - as above
        statement = f"""
            SELECT MIN(lane) FROM ({" UNION ALL ".join([of_queue] * len(line.queues))}) AS first"""  # noqa: S608 - names
        parameters = [
            value
            for queue in line.queues
            for value in (line.limit, line.backend, queue, line.executor, after)
        ]
        return [lane for (lane,) in self._fetch(statement, parameters) if lane is not None]

    @staticmethod
    def _up_to(last: str) -> Callable[[str], bool]:
        """Return whether a lane is not after the last, in the order of utf8mb4_bin."""
        return lambda lane: lane.encode() <= last.encode()
