"""Adds up rows of ten seconds: into those of longer periods, and into the totals of all time."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from django.db.models import Count, Q

from taskworks.models import Statistic
from taskworks.models.statistic import (
    EVER,
    HOUR,
    MINUTE,
    OF_EVERYTHING,
    OF_QUEUE,
    OF_SERIES,
    TEN_MINUTES,
    TEN_SECONDS,
)
from taskworks.statistics.places import MAX_SERIES, Place
from taskworks.statistics.stored_rows import delete_rows, rows_with
from taskworks.statistics.tally import Tally
from taskworks.store import Store
from taskworks.store.shared_duties import BOOKKEEPING

# The longer periods, and how long their rows are kept.
KEPT_FOR = {
    MINUTE: timedelta(days=2),
    TEN_MINUTES: timedelta(days=15),
    HOUR: timedelta(days=400),
}
COMPACTED_AFTER = 120  # seconds; by then nobody repeats a flush
FAR_AHEAD = 600  # seconds; rows from before a clock was set back
CHUNK = 300  # rows of ten seconds that one transaction adds up

Period = tuple[int, int, int]  # the seconds, the level, and the Unix time when it began


def compact(store: Store) -> int:
    """Add up a chunk of rows whose time is over, in one transaction; return how many."""
    with store.duty_held(BOOKKEEPING) as is_held:
        return compact_within(store, CHUNK) if is_held else 0


def compact_within(store: Store, limit: int, before: int | None = None) -> int:
    """Do so in the caller's transaction, which holds the duty."""
    rows = _due(store, limit, before)
    if rows:
        merge(store, _by_place(rows), instead_of=[row.id for row in rows])
    return len(rows)


def merge(store: Store, tallies: dict[Place, Tally], instead_of: Sequence[UUID] = ()) -> None:
    """
    Add tallies to the rows of their places, and delete the rows that they were made of. What a
    period has no room for is added to its row for others.
    """
    places = {*tallies} | {place.of_others for place in tallies}
    stored = {row.id: row for row in rows_with(store, Statistic, {place.id for place in places})}
    merged: dict[Place, Tally] = {}
    for place, tally in _with_room(store, tallies, {*stored}).items():
        merged[place] = tally
        if row := stored.get(place.id):
            tally.add(Tally.of(row))
    delete_rows(store, Statistic, [*instead_of, *({place.id for place in merged} & {*stored})])
    rows = [tally.row(place.id, **place._asdict()) for place, tally in merged.items()]
    Statistic.objects.using(store.alias).bulk_create(sorted(rows, key=lambda row: row.id))


def forget_statistics(store: Store, limit: int) -> int:
    """Delete up to ``limit`` rows of periods that are kept no longer; return how many."""
    now, old = unix_time(store), Q()
    levels = [OF_SERIES, OF_QUEUE, OF_EVERYTHING]
    for seconds, kept_for in KEPT_FOR.items():
        old |= Q(seconds=seconds, level__in=levels, since__lt=now - kept_for.total_seconds())
    rows = Statistic.objects.using(store.alias).filter(old).order_by()
    ids = [*rows.values_list("id", flat=True)[:limit]]
    delete_rows(store, Statistic, ids)
    return len(ids)


def unix_time(store: Store) -> int:
    """Return the database's time in seconds."""
    return int(store.read_clock().timestamp())


def _due(store: Store, limit: int, before: int | None) -> list[Statistic]:
    now = unix_time(store)
    over = Q(since__lt=now - COMPACTED_AFTER if before is None else before)
    rows = Statistic.objects.using(store.alias).filter(seconds=TEN_SECONDS)
    due = rows.filter(over | Q(since__gt=now + FAR_AHEAD))
    return [*due.order_by("level", "since", "id")[:limit]]  # as the index has them


def _by_place(rows: Iterable[Statistic]) -> dict[Place, Tally]:
    tallies: dict[Place, Tally] = {}
    for row in rows:
        tally = Tally.of(row)
        series = row.backend, row.queue_name, row.task_path, row.level
        for seconds in ((EVER,) if row.level == OF_SERIES else ()) + (*KEPT_FOR,):
            since = max(0, row.since) // seconds * seconds if seconds else 0
            tallies.setdefault(Place(seconds, since, *series), Tally()).add(tally)
    return tallies


def _with_room(store: Store, tallies: dict[Place, Tally], stored: set[UUID]) -> dict[Place, Tally]:
    """Return the tallies, with those for which their periods have no room added to others."""
    room = _room(store, {_period_of(place) for place in tallies})
    fitting: dict[Place, Tally] = {}
    busiest = sorted(tallies.items(), key=lambda item: -sum(item[1].counts))
    for place, tally in busiest:
        period = _period_of(place)
        if place.id in stored:
            fitting[place] = tally
        elif room[period] > 0:
            room[period] -= 1
            fitting[place] = tally
        else:
            fitting.setdefault(place.of_others, Tally()).add(tally)
    return fitting


def _period_of(place: Place) -> Period:
    return place.seconds, place.level, place.since


def _room(store: Store, periods: set[Period]) -> Counter[Period]:
    """Return how many more rows each period may have."""
    wanted = Q()
    for seconds, level, since in periods:
        wanted |= Q(seconds=seconds, level=level, since=since)
    rows = Statistic.objects.using(store.alias).filter(wanted).order_by()
    numbers = rows.values_list("seconds", "level", "since").annotate(Count("id"))
    taken = Counter({(seconds, level, since): n for seconds, level, since, n in numbers})
    return Counter({period: MAX_SERIES[period[0]] - taken[period] for period in periods})
