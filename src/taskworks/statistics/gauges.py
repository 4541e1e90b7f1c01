"""Samples how much waits and how busy workers are, and adds the samples up over time."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db.models import Count, Q

from taskworks.models import Gauge, Worker
from taskworks.models.statistic import MINUTE, OTHERS
from taskworks.statistics.compaction import FAR_AHEAD, KEPT_FOR, unix_time
from taskworks.statistics.places import id_of
from taskworks.statistics.reading import period_for
from taskworks.statistics.stored_rows import delete_rows, rows_with
from taskworks.store import Store
from taskworks.store.shared_duties import GAUGES

MAX_QUEUES = 200  # that a period tells apart
MAX_DEPTH = 100_000  # ready runs of a queue that are counted
MOST = 2**63 - 1
SUMS = ("samples", "depth_sum", "busy_sum", "slots_sum")

Period = tuple[int, int]  # how many seconds it has, and the Unix time when it began
Queue = tuple[str, str]  # a backend and a queue; two empty texts stand for all queues
EVERY_QUEUE: Queue = ("", "")
DepthsBefore = tuple[timedelta, dict[Queue, float]] | None  # how long ago, and of each queue


class Sample(NamedTuple):
    """What is read of a queue at a moment."""

    depth: int = 0  # ready runs
    oldest: float | None = None  # seconds
    busy: int = 0  # runs in hand
    slots: int = 0  # of the living workers that take it

    def plus(self, other: "Sample") -> "Sample":
        """Return that of both queues together; workers may take both."""
        oldest = [one for one in (self.oldest, other.oldest) if one is not None]
        return Sample(
            self.depth + other.depth,
            max(oldest, default=None),
            self.busy + other.busy,
            max(self.slots, other.slots),
        )


class GaugePoint(NamedTuple):
    """How it was in a period that began at ``at``; on average, if it does not say otherwise."""

    at: datetime
    depth: float = 0.0
    depth_max: int = 0
    oldest_max: float | None = None  # seconds
    busy: float = 0.0
    busy_max: int = 0
    slots: float = 0.0


def sample(store: Store) -> None:
    """
    Read how it is now, and add that to the rows of each period. The caller has begun the duty, so
    that no two workers do so at once.
    """
    read = _read(store)
    with store.duty_held(GAUGES) as is_held:
        if is_held:
            _add(store, read)


def gauges(
    store: Store, duration: timedelta, *, backend: str = "", queue_name: str = ""
) -> list[GaugePoint]:
    """
    Return how it was in the latest ``duration``, of a queue or of all together, the oldest period
    first: minutes, ten minutes or hours, as ``reading.series`` has them. A period in which no
    worker lived is missing.
    """
    seconds, now = period_for(duration), unix_time(store)
    first = int(now - duration.total_seconds()) // seconds * seconds
    rows = Gauge._default_manager.using(store.alias).filter(
        seconds=seconds, since__gte=first, since__lte=now
    )
    everything = {row.since: row for row in rows.filter(backend="", queue_name="")}
    shown = everything
    if (backend, queue_name) != EVERY_QUEUE:
        of_queue = rows.filter(backend=backend, queue_name=queue_name)
        shown = {row.since: row for row in of_queue}
    return [
        _point(since, shown.get(since), everything[since].samples) for since in sorted(everything)
    ]


def depths_before(store: Store, duration: timedelta) -> DepthsBefore:
    """
    Return how many runs were ready in each queue about a ``duration`` ago, up to 200 minutes, and
    how long ago that exactly was; if no worker lived then, somewhat later. None if none did.
    """
    now = unix_time(store)
    rows = Gauge._default_manager.using(store.alias).filter(
        seconds=MINUTE, since__gte=now - duration.total_seconds(), since__lt=now - 2 * MINUTE
    )
    every = rows.filter(backend="", queue_name="").order_by("since").first()
    if every is None:
        return None
    then = rows.filter(since=every.since).exclude(queue_name="")
    depths = {(row.backend, row.queue_name): row.depth_sum / (every.samples or 1) for row in then}
    return timedelta(seconds=now - every.since - MINUTE / 2), depths


def forget_gauges(store: Store, limit: int) -> int:
    """Delete up to ``limit`` rows of periods that are kept no longer; return how many."""
    now, old = unix_time(store), Q()
    for seconds, kept_for in KEPT_FOR.items():
        old |= Q(seconds=seconds, since__lt=now - kept_for.total_seconds())
    old |= Q(since__gt=now + FAR_AHEAD)  # from before a clock was set back
    rows = Gauge._default_manager.using(store.alias).filter(old).order_by()
    ids = [*rows.values_list("id", flat=True)[:limit]]
    delete_rows(store, Gauge, ids)
    return len(ids)


def _point(since: int, row: Gauge | None, samples: int) -> GaugePoint:
    at = datetime.fromtimestamp(since, UTC)
    if row is None or not samples:
        return GaugePoint(at)
    return GaugePoint(
        at,
        row.depth_sum / samples,
        row.depth_max,
        row.oldest_max,
        row.busy_sum / samples,
        row.busy_max,
        row.slots_sum / (row.samples or 1),  # a queue with no row has slots all the same
    )


def _read(store: Store) -> dict[Queue, Sample]:
    """Return a sample of each queue in which something waits or runs, and of all together."""
    read: dict[Queue, Sample] = {}
    for queue in store.survey(cap=MAX_DEPTH):
        oldest = queue.waited.total_seconds()
        read[queue.backend, queue.queue_name] = Sample(depth=queue.ready, oldest=oldest)
    for held in store.held():
        queue_of = held.backend, held.queue_name
        known = read.get(queue_of, Sample())
        read[queue_of] = known._replace(busy=known.busy + held.number)
    workers = [*store.workers.heard()]
    read = {queue: one._replace(slots=_slots_of(queue, workers)) for queue, one in read.items()}
    everything = Sample()
    for one in read.values():
        everything = everything.plus(one)
    slots = sum(worker.all_slots for worker in workers)
    return {EVERY_QUEUE: everything._replace(slots=slots), **_told_apart(read)}


def _slots_of(queue: Queue, workers: Iterable[Worker]) -> int:
    backend, name = queue
    taking = (one for one in workers if one.backend == backend and one.takes(name))
    return sum(worker.all_slots for worker in taking)


def _told_apart(read: dict[Queue, Sample]) -> dict[Queue, Sample]:
    """Return the samples of the deepest queues, and one for the others of a backend."""
    by_depth = sorted(read.items(), key=lambda item: (-item[1].depth, -item[1].busy, item[0]))
    told = dict(by_depth[:MAX_QUEUES])
    for (backend, _), one in by_depth[MAX_QUEUES:]:
        others = (backend, OTHERS)
        told[others] = told.get(others, Sample()).plus(one)
    return told


def _add(store: Store, read: dict[Queue, Sample]) -> None:
    now = unix_time(store)
    periods = [(seconds, now // seconds * seconds) for seconds in KEPT_FOR]
    numbers, rows = _numbers_of_rows(store, periods), dict[UUID, Gauge]()
    for period in periods:
        has_room = len(read) + numbers.get(period[0], 0) <= MAX_QUEUES  # as nearly always
        fitting = read if has_room else _fitting(store, period, read)
        for queue, one in fitting.items():
            row = _row(period, queue, one)
            rows[row.id] = row
    stored = [*rows_with(store, Gauge, rows)]
    for old in stored:
        _merge(rows[old.id], old)
    delete_rows(store, Gauge, [old.id for old in stored])
    ordered = sorted(rows.values(), key=lambda row: row.id)
    Gauge._default_manager.using(store.alias).bulk_create(ordered)


def _numbers_of_rows(store: Store, periods: Iterable[Period]) -> dict[int, int]:
    """Return how many rows each period has, by its seconds."""
    now = Q()
    for seconds, since in periods:
        now |= Q(seconds=seconds, since=since)
    rows = Gauge._default_manager.using(store.alias).filter(now).order_by()
    return dict(rows.values_list("seconds").annotate(Count("id")))


def _fitting(store: Store, period: Period, read: dict[Queue, Sample]) -> dict[Queue, Sample]:
    """Return the samples, with those for which the period has no room added to others."""
    seconds, since = period
    rows = Gauge._default_manager.using(store.alias).filter(seconds=seconds, since=since)
    stored = {*rows.values_list("backend", "queue_name")}
    room = max(0, MAX_QUEUES - len(stored))
    fitting: dict[Queue, Sample] = {}
    for queue, one in read.items():
        if queue in stored or queue == EVERY_QUEUE or queue[1] == OTHERS:
            fitting[queue] = one.plus(fitting.get(queue, Sample()))
        elif room > 0:
            room -= 1
            fitting[queue] = one
        else:
            others = (queue[0], OTHERS)
            fitting[others] = fitting.get(others, Sample()).plus(one)
    return fitting


def _row(period: Period, queue: Queue, one: Sample) -> Gauge:
    return Gauge(
        id=id_of(("gauge", *period, *queue)),
        seconds=period[0],
        since=period[1],
        backend=queue[0],
        queue_name=queue[1],
        samples=1,
        depth_sum=one.depth,
        depth_max=one.depth,
        oldest_max=one.oldest,
        busy_sum=one.busy,
        busy_max=one.busy,
        slots_sum=one.slots,
    )


def _merge(row: Gauge, old: Gauge) -> None:
    for name in SUMS:
        setattr(row, name, min(getattr(row, name) + getattr(old, name), MOST))
    row.depth_max = max(row.depth_max, old.depth_max)
    row.busy_max = max(row.busy_max, old.busy_max)
    oldest = [one for one in (row.oldest_max, old.oldest_max) if one is not None]
    row.oldest_max = max(oldest, default=None)
