"""
Claim runs with a limit: at most so many of a key, and in total, are in hand at once.

A slot of a limit is a claimed or running row, counted when it is needed; there is nothing else that
could be left behind. Who counts has locked the limit's row, in a statement of its own before that:
a statement sees what was committed when it began, so one that does both could lock the row after
another claim and count without it.
"""

import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import Any, NamedTuple
from uuid import UUID

from django.db import models
from django.db.models import Min

from taskworks.database.composed import fetch_with_now, with_now
from taskworks.database.transactions import writing
from taskworks.discovery import resolve
from taskworks.exceptions import InvalidTask, TaskNotFound
from taskworks.models import Limit, TaskRun
from taskworks.options.declared_limits import declared_limits
from taskworks.options.limits import Number, refuse_bad_bursts, without_bad_bursts
from taskworks.store.limited_names import LimitedNames
from taskworks.store.paused import Paused
from taskworks.store.rating import Meter, OpenLane, Rating

FIRST = ""  # before every lane


class Line(NamedTuple):
    """The ready runs of a limit that a worker may claim for one executor."""

    limit: str
    backend: str
    queues: tuple[str, ...]
    executor: str
    closed: tuple[str, ...] = ()  # lanes whose keys are paused

    def without(self, paused: Paused) -> "Line":
        """Return what of it is not paused."""
        queues = () if paused.has_limit(self.limit) else self.queues
        return self._replace(
            queues=tuple(name for name in queues if not paused.has_queue(self.backend, name)),
            closed=paused.keys_of(self.limit),
        )


class Wish(NamedTuple):
    """How many runs a claim is to find, for a worker's free slots, and ahead."""

    now: int
    ahead: int = 0

    def within(self, free: float) -> int:
        """Return how many if so many slots are free; of those left to take ahead, half."""
        return self.now + int(max(0, min(self.ahead, (free - self.now) / 2)))


class Share(NamedTuple):
    """How many runs to claim from a lane."""

    lane: str
    number: int


class LimitedClaim(NamedTuple):
    """
    The runs that were claimed, in turn, and whether there may be more now.
    ``opens_in`` are the seconds until a rate or a hold allows more. ``gave_up`` is true if so many
    lanes were closed by these that it has not looked at all. ``counts_slots`` says whether the
    limit has slots, that are free when a run has ended; None if that is not known. ``holds_back``
    is true if there may be more that are not claimed ahead.
    """

    runs: list[TaskRun]
    may_have_more: bool
    opens_in: float = math.inf
    gave_up: bool = False
    counts_slots: bool | None = None
    holds_back: bool = False


class LimitInUse(NamedTuple):
    """How many runs of a limit are in hand, and how many ready, as far as these were counted."""

    in_hand: int
    waiting: int


class Limiting(LimitedNames, Rating):
    """Find and claim the runs that have a limit, lane by lane, in turn."""

    # What has the database count the slots of a lane once, and not again in a condition.
    _as_is = "OFFSET 0"

    def claim_limited(self, worker: UUID, line: Line, most: int, ahead: int = 0) -> LimitedClaim:
        """
        Take up to ``most`` ready runs of a limit for a worker that is not given up, as many as it
        has free slots: one from each lane with a free slot, in turn, then the second of each. Those
        of a lane are taken in the order of claims. If another session is claiming from this limit,
        none are taken.

        Up to ``ahead`` more are taken to begin in a moment, and no more than leave as many slots of
        the limit free for other workers. None are if the limit has a rate, or a key that is held.
        """
        with self.locking():
            limit = self._locked_limit(line.limit)
            if limit is None:
                return LimitedClaim([], may_have_more=True)
            return self._claim_in_turn(worker, line, limit, Wish(most, ahead))

    def slots_in_use(self, limit: str, lane: str | None = None) -> int:
        """Return how many runs of a limit, or of one of its lanes, are in hand."""
        held = self.runs.in_hand().filter(limit_name=limit, lane__isnull=False)
        return (held if lane is None else held.filter(lane=lane)).count()

    def limits_in_use(self, names: Sequence[str], most: int) -> dict[str, LimitInUse]:
        """Return how each of these limits is used, by its name. One statement."""
        runs, some = self._quoted(TaskRun), "limit_name = %s AND lane IS NOT NULL"
        of_one = f"""
            SELECT %s,
                (SELECT COUNT(*) FROM {runs} WHERE {some} AND state IN ('claimed', 'running')),
                (SELECT COUNT(*) FROM (
                    SELECT 1 FROM {runs} WHERE {some} AND state = 'ready' LIMIT %s) AS counted)"""  # noqa: S608 - a table's name
        parameters = [value for name in names for value in (name, name, name, most)]
        rows = self._fetch(" UNION ALL ".join([of_one] * len(names)), parameters) if names else []
        return {name: LimitInUse(in_hand, waiting) for name, in_hand, waiting in rows}

    # The numbers.

    def declare_limit(self, name: str, numbers: Mapping[str, Number]) -> None:
        """
        Write what is declared. A number that a person has changed stays, until another one is
        declared in its place, or until it does not fit to that any more, as a burst to a rate.
        """
        if not self.limits.filter(name=name).exists():
            self._add_limit(name)
        with writing(self.alias):
            limit = self.limits.select_for_update().get(name=name)
            said = limit.declared if isinstance(limit.declared, dict) else None
            if said == numbers:
                return
            kept = [one for one in numbers if said is not None and said.get(one) == numbers[one]]
            now = {**numbers, **{one: getattr(limit, one) for one in kept}}
            in_force = without_bad_bursts(now, numbers)
            self._write_limit(limit, {**in_force, "declared": dict(numbers)})
        self.notify_workers()

    def withdraw_limits(self, declared: Iterable[str]) -> int:
        """Note that nobody declares other limits than these any more; return how many did."""
        others = self.limits.exclude(name__in=[*declared]).exclude(declared=None)
        return self._notify_if_any(others.update(declared=None))

    def change_limit(self, name: str, numbers: Mapping[str, Number]) -> Limit | None:
        """
        Write other numbers of a declared limit, and return its row; None if there is none. Raise
        InvalidTask if they do not fit to the others that the row has by now.
        """
        with writing(self.alias):
            known = self.limits.select_for_update().filter(name=name)
            limit = known.exclude(declared=None).first()
            if limit is None:
                return None
            refuse_bad_bursts(name, {**limit.numbers, **numbers})
            self._write_limit(limit, numbers)
        self.notify_workers()
        return limit

    def _write_limit(self, limit: Limit, columns: Mapping[str, Any]) -> None:
        for column, value in columns.items():
            setattr(limit, column, value)
        limit.save(using=self.alias, update_fields=[*columns])

    def undeclared_limits(self) -> list[str]:
        """Return the limits that ready runs have, but that nobody declares."""
        names = each_value(self.runs.ready().limited(), "limit_name")
        declared = self.limits.exclude(declared=None).values_list("name", flat=True)
        return sorted({*names}.difference(declared))

    # The claim.

    def _locked_limit(self, name: str) -> Limit | None:
        """Lock the row of a limit, and return it; None if another session has locked it."""
        limit = self._locked_if_free(name)
        if limit is None and not self.limits.filter(name=name).exists():
            self._add_limit(name)
            limit = self._locked_if_free(name)
        if limit and limit.declared is None and self._learns_of(name):
            self._declare_as_here(limit)
        return limit

    def _locked_if_free(self, name: str) -> Limit | None:
        found = fetch_with_now(self.connection, Limit, _if_free, name)
        return found[0] if found else None

    def _learns_of(self, name: str) -> bool:
        """
        Return whether this process did not know the limit, and has found who declares it by
        importing a task that has it.
        """
        if name in declared_limits():
            return False
        ready = self.runs.ready().limited().filter(limit_name=name)
        for path in ready.values_list("task_path", flat=True)[:1]:  # others may have taken all
            with suppress(TaskNotFound, InvalidTask):
                resolve(path)
        return name in declared_limits()

    def _declare_as_here(self, limit: Limit) -> None:
        self._write_limit(limit, _columns_as_here(limit.name))

    def _add_limit(self, name: str) -> None:
        """Insert a row as it is declared here; nobody has synchronized the limits yet."""
        row = Limit(name=name, **_columns_as_here(name))
        self.limits.bulk_create([row], ignore_conflicts=True)

    def _claim_in_turn(self, worker: UUID, line: Line, limit: Limit, wish: Wish) -> LimitedClaim:
        meter = Meter(limit, limit.now)  # type: ignore[attr-defined] # see _locked_if_free
        if meter.reads_any:  # what is claimed and given back has used its place in a rate
            claimed = self._claim_metered(worker, line, limit, Wish(wish.now), meter)
            holds_back = wish.ahead > 0 and len(claimed.runs) == wish.now
            claimed = claimed._replace(holds_back=holds_back)
        else:
            claimed = self._claim_metered(worker, line, limit, wish, meter)
        self._write_changes(meter)
        counts_slots = any(limit.in_force.values())
        return claimed._replace(opens_in=meter.opens_in, counts_slots=counts_slots)

    def _claim_metered(
        self, worker: UUID, line: Line, limit: Limit, wish: Wish, meter: Meter
    ) -> LimitedClaim:
        free = self._free_in_all(limit, meter)
        asked = int(min(sum(wish), free))
        if asked <= 0:
            return LimitedClaim([], may_have_more=False)
        place, at_once = f"{line.backend} {line.executor}", limit.in_force["at_once"]
        last = _text(limit.turns.get(place))

        def find(after: str, number: int) -> list[OpenLane]:
            return self._open_lanes(line, after, at_once, number)

        lanes, gave_up_at = self._find_lanes(meter, find, last, asked)
        free = min(free, sum(lane.room for lane in lanes))
        number = min(asked, wish.within(free))
        shares = shared_out(lanes, number)
        wanted = [Share(lane.lane, number) for lane, number in shares if number > 0]
        runs = in_turn(self._take(worker, line, wanted), wanted) if wanted else []
        meter.take(runs)
        taken = Counter(run.lane for run in runs)
        # Also if none was taken: a lane whose first run is locked must not hold up the others.
        turn = gave_up_at or last_in_turn([share.lane for share in wanted], taken)
        if turn is not None and turn != last:
            turns = {**limit.turns, place: turn}
            self.limits.filter(name=limit.name).update(turns=turns)
        # Also a lane without a share has a run and a slot.
        has_more = any(taken[lane.lane] == number < lane.room for lane, number in shares)
        has_locked = any(taken[lane.lane] == 0 < number for lane, number in shares)
        # Of as many lanes as it asked for there may be more, and so more slots.
        knows_all = len(lanes) < asked or asked < sum(wish) or number == 0
        holds_back = knows_all and len(runs) == number < min(asked, free)
        return LimitedClaim(
            runs,
            may_have_more=(has_more or has_locked) and len(runs) < asked and not holds_back,
            gave_up=gave_up_at is not None,
            holds_back=holds_back,
        )

    def _free_in_all(self, limit: Limit, meter: Meter) -> float:
        """Return how many runs of all lanes may be claimed."""
        total, slots = limit.in_force["total"], math.inf
        if total is not None:
            slots = total - self.slots_in_use(limit.name)
        self._read_total(meter)
        return min(slots, meter.total_room())

    def _open_lanes(self, line: Line, after: str, at_once: int | None, most: int) -> list[OpenLane]:
        """
        Return up to ``most`` lanes with a ready run and a free slot, in turn: those after a lane,
        then those up to it. Looks at no more lanes than it needs, and at each by probes of indexes.
        """
        table = self._quoted(TaskRun)
        ready = f"""
            FROM {table} AS run WHERE state = 'ready' AND lane IS NOT NULL
                AND limit_name = %(limit)s AND backend = %(backend)s
                AND queue_name = queue.name AND executor = %(executor)s"""

        def next_after(lane: str) -> str:
            of_queue = f"SELECT (SELECT MIN(run.lane) {ready} AND run.lane > {lane}) AS lane"
            return f"(SELECT MIN(lane) FROM ({of_queue} FROM queue) AS following)"  # noqa: S608 - names

        in_hand = f"""(
            SELECT COUNT(*) FROM (
                SELECT 1 FROM {table} AS held
                WHERE held.limit_name = %(limit)s AND held.lane = turn.lane
                    AND held.lane IS NOT NULL AND held.state IN ('claimed', 'running')
                LIMIT %(at_once)s
            ) AS slots)"""  # noqa: S608 - a table's name
        names = {f"queue_{number}": name for number, name in enumerate(line.queues)}
        values = ", ".join(f"(CAST(%({name})s AS varchar(128)))" for name in names)
        closed = {f"closed_{number}": lane for number, lane in enumerate(line.closed)}
        unpaused = (
            f"WHERE lane NOT IN ({', '.join(f'%({name})s' for name in closed)})" if closed else ""
        )
        open_lanes = f"SELECT lane, 1 AS free FROM turn {unpaused}"  # noqa: S608 - as above
        if at_once is not None:
            open_lanes = f"""
                SELECT lane, free FROM (
                    SELECT lane, %(at_once)s - {in_hand} AS free FROM turn {unpaused} {self._as_is}
                ) AS counted WHERE free > 0"""  # noqa: S608 - as above
        statement = f"""
            WITH RECURSIVE
            queue (name) AS (VALUES {values}),
            later (lane) AS (
                SELECT {next_after("%(after)s")}
                UNION ALL
                SELECT {next_after("later.lane")} FROM later WHERE lane IS NOT NULL
            ),
            sooner (lane) AS (
                SELECT {next_after("''")}
                UNION ALL
                SELECT {next_after("sooner.lane")} FROM sooner WHERE lane <= %(after)s
            ),
            turn (lane) AS (
                SELECT lane FROM later WHERE lane IS NOT NULL
                UNION ALL
                SELECT lane FROM sooner WHERE lane <= %(after)s
            )
            {open_lanes} LIMIT %(most)s"""  # noqa: S608 - names
        parameters = {
            **names,
            **closed,
            "limit": line.limit,
            "backend": line.backend,
            "executor": line.executor,
            "after": after,
            "at_once": at_once,
            "most": most,
        }
        rows = self._fetch(statement, parameters)
        return [OpenLane(lane, math.inf if at_once is None else room) for lane, room in rows]

    @abstractmethod
    def _take(self, worker: UUID, line: Line, shares: Sequence[Share]) -> list[TaskRun]:
        """
        Claim these numbers of runs, of those that no other session has locked; see
        ``claim_limited``, which has locked the limit.
        """


def shared_out(lanes: Sequence[OpenLane], number: int) -> list[tuple[OpenLane, int]]:
    """Return how many of ``number`` runs each lane may have: one each, as often as it fits."""
    shares = [0] * len(lanes)
    while number > 0:
        before = number
        for index, lane in enumerate(lanes):
            if number > 0 and shares[index] < lane.room:
                shares[index] += 1
                number -= 1
        if number == before:
            break
    return [*zip(lanes, shares, strict=True)]


def in_turn(runs: Sequence[TaskRun], shares: Iterable[Share]) -> list[TaskRun]:
    """Return the first run of each lane, in turn, then the second of each, and so on."""
    of_lanes: dict[str | None, list[TaskRun]] = {share.lane: [] for share in shares}
    for run in runs:
        of_lanes.setdefault(run.lane, []).append(run)
    rounds = zip_longest(*of_lanes.values())
    return [run for one in rounds for run in one if run is not None]


def last_in_turn(lanes: Sequence[str], taken: Counter[str | None]) -> str | None:
    """Return the lane whose turn was last, of lanes in turn of which so many runs were taken."""
    most = max(taken.values(), default=0)
    return next((lane for lane in reversed(lanes) if taken[lane] == most), None)


def _if_free(name: str) -> "models.QuerySet[Limit, Any]":
    return with_now(Limit.objects.select_for_update(skip_locked=True).filter(name=name))


def _columns_as_here(name: str) -> dict[str, Any]:
    """Return what the row of a limit has if it is as this process declares it."""
    declared = declared_limits().get(name)
    return {**declared.numbers, "declared": declared.numbers} if declared else {}


def each_value(runs: models.QuerySet[TaskRun], column: str) -> Iterator[str]:
    """Yield each value of a column once, by one probe of an index for each."""
    value = ""
    while value := runs.filter(**{f"{column}__gt": value}).aggregate(next=Min(column))["next"]:
        yield value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else FIRST
