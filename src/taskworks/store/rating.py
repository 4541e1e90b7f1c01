"""
The buckets of limits that have a rate, and the keys that are held.

A claim reads and writes them in its own transaction, which has locked the limit's row: so a run is
claimed and its place in the rate is used, or neither. Who claims and dies has used the place.
"""

import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from django.db import models
from django.db.models import Q

from taskworks.database.clock import DatabaseClock, as_aware, later
from taskworks.models import Bucket, Limit, TaskRun
from taskworks.options.rates import Rate
from taskworks.retry import MAX_HOLD
from taskworks.store.base import Base

ALL = ""  # the lane of the bucket of all lanes
LONGEST_HOLD = timedelta(seconds=MAX_HOLD)


class OpenLane(NamedTuple):
    """A lane with a ready run from which may be claimed, and how many of its runs."""

    lane: str
    room: float


class Found(NamedTuple):
    """What a claim has found, going from lane to lane."""

    lanes: list[OpenLane]
    gave_up_at: str | None  # the lane after which the next claim goes on, if there may be more


class Meter:
    """What the buckets of a limit allow at a moment, while a claim has locked the limit."""

    def __init__(self, limit: Limit, now: datetime) -> None:
        self.limit, self._now = limit.name, now
        self._rate, self._total_rate = limit.rate_in_force, limit.total_rate_in_force
        ends = None if limit.declared is None else limit.held_until
        self._has_holds = ends is not None and ends > now
        self._full_at: dict[str, datetime | None] = {}
        self._held_until: dict[str, datetime] = {}
        self._changed: set[str] = set()
        self.opens_in = math.inf  # seconds until it is worth looking at what was closed

    @property
    def reads_lanes(self) -> bool:
        """True if lanes may be closed by a rate or a hold."""
        return self._rate is not None or self._has_holds

    @property
    def reads_total(self) -> bool:
        """True if all lanes may be closed by the total rate."""
        return self._total_rate is not None

    @property
    def reads_any(self) -> bool:
        """True if a rate or a hold may close anything."""
        return self.reads_lanes or self.reads_total

    def note(self, buckets: Iterable[tuple[str, datetime | None, datetime | None]]) -> None:
        """Note the rows of some lanes; the buckets of others are full."""
        for lane, full_at, held_until in buckets:
            self._full_at[lane] = full_at
            if held_until is not None:
                self._held_until[lane] = held_until

    def total_room(self) -> float:
        """Return how many runs may be claimed in all."""
        return self._room(ALL, self._total_rate) if self._total_rate else math.inf

    def room(self, lane: str) -> float:
        """Return how many runs of a lane may be claimed."""
        if held_for := self._held_for(lane):
            self._expect(held_for)
            return 0
        return self._room(lane, self._rate) if self._rate else math.inf

    def take(self, runs: Sequence[TaskRun]) -> None:
        """Note the runs of a claim."""
        if not runs or not (self._rate or self._total_rate):
            return
        at = runs[0].claimed_at
        assert at is not None, "it is claimed"  # noqa: S101
        taken = Counter(run.lane or ALL for run in runs) if self._rate else Counter[str]()
        uses = [(lane, self._rate, number) for lane, number in taken.items()]
        uses.append((ALL, self._total_rate, len(runs)))
        found_by, self._now = self._now, at
        for lane, rate, number in uses:
            if rate:
                is_all = number >= rate.room(self._left(lane, found_by))
                self._move_on(lane, rate, number, is_all=is_all)

    def changes(self) -> dict[str, datetime | None]:
        """Return the lanes whose buckets have changed, and when they are full now."""
        return {lane: self._full_at[lane] for lane in self._changed}

    def _room(self, lane: str, rate: Rate) -> int:
        left = self._left(lane, self._now)
        if left > rate.time_to_fill:
            # The clock was set back, or the rate was changed. It cannot be emptier than empty.
            left = rate.time_to_fill
            self._set(lane, later(self._now, left))
        room = rate.room(left)
        if room == 0:
            self._expect(rate.look_in(left))
        return room

    def _move_on(self, lane: str, rate: Rate, number: int, *, is_all: bool) -> None:
        """Use the places of a number of runs, which may be all that there were."""
        full_at, at = self._full_at.get(lane), self._now
        begin = at if full_at is None or full_at < at else full_at
        self._set(lane, later(begin, rate.time_for(number)))
        if rate.room(left := self._left(lane, at)) == 0:
            self._expect(rate.look_in(left))
        elif is_all:  # there are new ones since these were found
            self._expect(0.0)

    def _set(self, lane: str, full_at: datetime) -> None:
        self._full_at[lane] = full_at
        self._changed.add(lane)

    def _left(self, lane: str, at: datetime) -> timedelta:
        """Return how long it takes from a moment on until the bucket is full."""
        full_at = self._full_at.get(lane)
        return timedelta() if full_at is None else as_aware(full_at) - as_aware(at)

    def _held_for(self, lane: str) -> float:
        """Return for how many seconds the lane is held; 0 if it is not."""
        held_until = self._held_until.get(lane)
        return seconds_held(held_until, self._now) if held_until else 0.0

    def _expect(self, seconds: float) -> None:
        self.opens_in = min(self.opens_in, seconds)


class Rating(Base):
    """Read and write buckets."""

    max_closed_lanes = 1000  # that one claim looks at; the next one goes on after them

    @property
    def limits(self) -> "models.QuerySet[Limit]":
        return Limit.objects.using(self.alias)

    @property
    def buckets(self) -> "models.QuerySet[Bucket]":
        return Bucket.objects.using(self.alias)

    def bucket_of(self, limit: str, lane: str) -> Bucket | None:
        """Return the bucket of a lane, or of all with ALL; None if it is full and not held."""
        return self.buckets.filter(key=bucket_key(limit, lane)).first()

    def hold_keys(self, limit: str, until: Mapping[str, datetime]) -> bool:
        """
        Have no run of these lanes claimed before these moments. A hold that ends later stays.
        Return False, and write nothing, if another session is claiming from the limit, or holds
        keys of it. May be repeated if its answer was lost.
        """
        with self.locking():
            row = self._locked_limit(limit)
            if row is None:
                return False
            keys = [bucket_key(limit, lane) for lane in until]
            rows = self.buckets.filter(key__in=keys, held_until__isnull=False)
            known = dict(rows.values_list("lane", "held_until"))
            ahead = {lane: at for lane, at in until.items() if _is_after(at, known.get(lane))}
            self._write_buckets(limit, "held_until", ahead)
            latest = max(until.values())
            if _is_after(latest, row.held_until):
                self.limits.filter(name=limit).update(held_until=latest)
        return True

    def forget_full_buckets(self, limit: int) -> int:
        """Delete up to ``limit`` buckets that are full, and not held; return how many."""
        now = DatabaseClock()
        is_full = Q(full_at=None) | Q(full_at__lte=now)
        is_open = Q(held_until=None) | Q(held_until__lte=now)
        with self.locking():
            free = self.buckets.filter(is_full, is_open).select_for_update(skip_locked=True)
            keys = [*free.order_by("key").values_list("key", flat=True)[:limit]]
            return self._delete_by_key(Bucket, keys)

    # For a claim, which has locked the limit.

    def _read_total(self, meter: Meter) -> None:
        if meter.reads_total:
            self._read_buckets(meter, [ALL])

    def _find_lanes(
        self, meter: Meter, find: Callable[[str, int], list[OpenLane]], after: str, most: int
    ) -> Found:
        """
        Return up to ``most`` lanes in turn, without those that are closed by a rate or a hold.
        ``find`` returns so many lanes after the one that it is given, and begins anew after the
        last one.
        """
        if not meter.reads_lanes:
            return Found(find(after, most), None)
        lanes: list[OpenLane] = []
        seen: set[str] = set()
        number = most
        while len(lanes) < most:
            if len(seen) - len(lanes) >= self.max_closed_lanes:
                return Found(lanes, after)
            found = find(after, number)
            new = [lane for lane in found if lane.lane not in seen]
            lanes += self._open_of(meter, new)
            seen |= {lane.lane for lane in new}
            if len(new) < number:  # these were all
                break
            after, number = new[-1].lane, min(2 * number, self.max_closed_lanes)
        return Found(lanes[:most], None)

    def _open_of(self, meter: Meter, lanes: Sequence[OpenLane]) -> list[OpenLane]:
        """Return those of these lanes that are open, with the room that is left."""
        self._read_buckets(meter, [lane.lane for lane in lanes])
        metered = [OpenLane(name, min(room, meter.room(name))) for name, room in lanes]
        return [lane for lane in metered if lane.room > 0]

    def _read_buckets(self, meter: Meter, lanes: Iterable[str]) -> None:
        keys = [bucket_key(meter.limit, lane) for lane in lanes]
        rows = self.buckets.filter(key__in=keys) if keys else self.buckets.none()
        meter.note(rows.values_list("lane", "full_at", "held_until"))

    def _write_changes(self, meter: Meter) -> None:
        if changes := meter.changes():
            self._write_buckets(meter.limit, "full_at", changes)

    def _write_buckets(
        self, limit: str, column: str, values: Mapping[str, datetime | None]
    ) -> None:
        rows = [
            Bucket(key=bucket_key(limit, lane), limit_name=limit, lane=lane, **{column: value})
            for lane, value in values.items()
        ]
        names_conflict = self.connection.features.supports_update_conflicts_with_target
        self.buckets.bulk_create(
            sorted(rows, key=lambda row: row.key),  # so that writers cannot deadlock
            update_conflicts=True,
            unique_fields=["key"] if names_conflict else None,
            update_fields=[column],
        )

    @abstractmethod
    def _locked_limit(self, name: str) -> Limit | None:
        """Lock the row of a limit, and return it; None if another session has locked it."""


def _is_after(moment: datetime, other: datetime | None) -> bool:
    return other is None or other < moment


class Closed(NamedTuple):
    """Why no run of a lane is claimed now, and until when."""

    until: datetime
    rate: str | None  # None: it is held
    is_total: bool = False


def closed_until(store: Rating, limit: Limit, lane: str) -> Closed | None:
    """Return why a hold or a rate keeps a lane closed; None if none does."""
    now, bucket = store.read_clock(), store.bucket_of(limit.name, lane)
    if limit.declared is None:
        return None
    if bucket and bucket.held_until and seconds_held(bucket.held_until, now):
        return Closed(bucket.held_until, None)
    if until := _rated_until(limit.rate_in_force, bucket, now):
        return Closed(until, limit.rate)
    total_rate = limit.total_rate_in_force
    total = store.bucket_of(limit.name, ALL) if total_rate else None
    if until := _rated_until(total_rate, total, now):
        return Closed(until, limit.total_rate, is_total=True)
    return None


def _rated_until(rate: Rate | None, bucket: Bucket | None, now: datetime) -> datetime | None:
    if rate is None or bucket is None or bucket.full_at is None:
        return None
    left = min(as_aware(bucket.full_at) - as_aware(now), rate.time_to_fill)
    return None if rate.room(left) else later(now, rate.opens_in(left))


def seconds_held(until: datetime, now: datetime) -> float:
    """Return for how many seconds a hold that ends then lasts; 0 if it is over."""
    left = as_aware(until) - as_aware(now)
    # Nobody can hold a key for longer: the clock was set back.
    return max(0.0, left.total_seconds()) if left <= LONGEST_HOLD else 0.0


def bucket_key(limit: str, lane: str) -> UUID:
    """Return the primary key of a lane's bucket."""
    digest = sha256(f"{limit}\n{lane}".encode(errors="surrogatepass")).digest()
    # Version 5, because MariaDB does not store a UUID without a version.
    return UUID(bytes=digest[:16], version=5)
