"""Which limits have ready runs, and the claim from their lanes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

from taskworks.models import TaskRun
from taskworks.store.limited_names import (
    COLUMNS,
    FIRST_NAME,
    MAX_NAMES,
    Answers,
    LimitedName,
    Values,
)
from taskworks.store.limiting import Line, Share, each_value
from taskworks.store.mysql.lanes import Lanes

FEW = 20  # lanes for each run of one, of which the heads cost no more than a look for ids


class LimitedClaims(Lanes):
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

    def _take(self, worker: UUID, line: Line, shares: Sequence[Share]) -> list[TaskRun]:
        runs, left = self._lock_first(line, shares)
        runs += self._lock_heads(line, left)
        return self._hand_over(runs, worker) if runs else []

    def _lock_first(
        self, line: Line, shares: Sequence[Share]
    ) -> tuple[list[TaskRun], Sequence[Share]]:
        """
        Lock the first runs of lanes, and return them, with the shares of those lanes of which
        others have locked some. Of many lanes this costs a tenth of ``_lock_heads``.
        """
        places = max(share.number for share in shares)
        if len(line.queues) > 1 or places * FEW > len(shares):
            return [], shares
        of_lanes = dict(zip(shares, self._first_ids(line, shares, places), strict=True))
        runs = self._lock_ready(line, [one for ids in of_lanes.values() for one in ids])
        locked = Counter(run.lane for run in runs)
        left = [share for share, ids in of_lanes.items() if locked[share.lane] < len(ids)]
        others = {share.lane for share in left}
        return [run for run in runs if run.lane not in others], left

    def _first_ids(
        self, line: Line, shares: Sequence[Share], places: int
    ) -> Iterator[Sequence[Any]]:
        """Yield the ids of the first runs of each share, without locking them."""
        of_place = f"""
            (SELECT id FROM {self._quoted(TaskRun)} AS run
            WHERE state = 'ready' AND limit_name = %s AND backend = %s AND queue_name = %s
                AND executor = %s AND run.lane = share.lane
            ORDER BY `rank`, available_at, id LIMIT 1 OFFSET %s)"""  # noqa: S608 - a table's name
        lanes = " UNION ALL ".join(["SELECT %s AS lane"] * len(shares))
        statement = f"""
            SELECT share.lane, {", ".join([of_place] * places)} FROM ({lanes}) AS share"""  # noqa: S608 - as above
        name = (line.limit, line.backend, *line.queues, line.executor)
        parameters = [value for place in range(places) for value in (*name, place)]
        rows = self._fetch(statement, [*parameters, *(share.lane for share in shares)])
        ids = {lane: of_lane for lane, *of_lane in rows}
        for share in shares:
            yield [one for one in ids[share.lane][: share.number] if one is not None]

    def _lock_ready(self, line: Line, ids: Sequence[Any]) -> list[TaskRun]:
        """Lock those of these runs that are still ready in their queue, and return them."""
        if not ids:
            return []
        # Somebody may have moved one to another queue since its id was read.
        statement = f"""
            SELECT {self.rows.columns_of_limited()} FROM {self._quoted(TaskRun)}
            FORCE INDEX (PRIMARY)
            WHERE id IN ({", ".join(["%s"] * len(ids))}) AND state = 'ready'
                AND limit_name = %s AND backend = %s AND queue_name = %s AND executor = %s
            FOR UPDATE SKIP LOCKED"""  # noqa: S608 - only names are put in
        name = (line.limit, line.backend, *line.queues, line.executor)
        rows = self._fetch(statement, [*ids, *name])
        return self.rows.claimed_limited(rows, limit_name=line.limit)

    def _lock_heads(self, line: Line, shares: Sequence[Share]) -> list[TaskRun]:
        """Lock the first runs of lanes that no other session has locked, and return them."""
        if not shares:
            return []
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
        return [
            run
            for run in self.rows.claimed_limited(rows, limit_name=line.limit)
            if _take_one(left, run.lane)
        ]


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
