"""What pages and metrics read of statistics; the cost of each function has a bound."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Max, QuerySet, Sum

from taskworks.models import Statistic
from taskworks.models.statistic import (
    COUNTS,
    EVER,
    HOUR,
    MINUTE,
    OF_EVERYTHING,
    OF_QUEUE,
    OF_SERIES,
    TEN_MINUTES,
    TEN_SECONDS,
)
from taskworks.statistics.compaction import KEPT_FOR, unix_time
from taskworks.statistics.histogram import Histogram
from taskworks.statistics.tally import COLUMNS, FINISHED, Tally
from taskworks.store import Store

MAX_ROWS = 20_000  # that a call reads for a chart
ROWS_AT_ONCE = 2000
MAX_POINTS = 200  # of a chart


class Key(NamedTuple):
    """What is counted; a field is "" if it is about all of its values."""

    backend: str = ""
    queue_name: str = ""
    task_path: str = ""


class Point(NamedTuple):
    """What was counted in a period that began at ``at``, by key."""

    at: datetime
    tallies: dict[Key, Tally]


class Counts(NamedTuple):
    """How many of what became of the runs of a series, and the seconds that attempts took."""

    attempts: int = 0
    successful: int = 0
    failed: int = 0
    cancelled: int = 0
    run_sum: float = 0.0

    @classmethod
    def of(cls, tally: Tally) -> "Counts":
        """Return those of a tally."""
        return cls._make([*(tally[name] for name in cls._fields[:-1]), tally.run_sum])

    @property
    def finished(self) -> int:
        """How many runs have finished."""
        return self.successful + self.failed + self.cancelled

    def plus(self, other: "Counts") -> "Counts":
        """Return those of both together."""
        return Counts._make(one + more for one, more in zip(self, other, strict=True))


class TooManyRows(Exception):  # noqa: N818 - an answer, not an error
    """The call would read too many rows; one about less would not."""


class By(NamedTuple):
    """What is told apart: the fields of a key."""

    fields: tuple[str, ...]

    def __call__(self, key: Key) -> Key:
        """Return the key of what is counted together with this one."""
        return Key(**{name: getattr(key, name) for name in self.fields})


by_all = By(Key._fields)
by_task = By(("task_path",))  # in whatever queue
by_queue = By(("backend", "queue_name"))
by_nothing = By(())


def totals(store: Store) -> dict[Key, Tally]:
    """
    Return what was ever counted, by backend, queue and task. No count is ever smaller than in an
    earlier call, whoever has died or compacted since. Reads the totals, of which there are about
    2,000 at most, and what was not compacted yet, in one statement, row by row.
    """
    rows = _statistics(store).filter(seconds__in=[EVER, TEN_SECONDS], level=OF_SERIES)
    columns = rows.order_by("seconds").values_list(
        *Key._fields, *COLUMNS, "seconds"
    )  # totals first
    added: dict[Key, Tally] = {}
    for *values, seconds in columns.iterator(ROWS_AT_ONCE):
        series = Key._make(values[: len(Key._fields)])
        if seconds == EVER:
            added.setdefault(series, Tally())
        if series in added:  # or it is counted among the others once it is compacted
            added[series].add(Tally.of_columns(values[len(Key._fields) :]))
    return added


def within(store: Store, duration: timedelta, by: By = by_all) -> dict[Key, Tally]:
    """
    Return what was counted in the latest ``duration``, by key. It begins with a period of those
    that ``series`` has; raise what that does.
    """
    added: dict[Key, Tally] = defaultdict(Tally)
    for point in series(store, duration, by=by):
        for key, tally in point.tallies.items():
            added[key].add(tally)
    return dict(added)


def series(
    store: Store,
    duration: timedelta,
    *,
    by: By = by_all,
    backend: str | None = None,
    queue_name: str | None = None,
    task_path: str | None = None,
) -> list[Point]:
    """
    Return what was counted in the latest ``duration``, period by period, the oldest first, without
    those in which nothing was: minutes, ten minutes or hours, so that there are at most MAX_POINTS.
    Raise TooManyRows instead of reading more than MAX_ROWS.
    """
    seconds = period_for(duration)
    given = {"backend": backend, "queue_name": queue_name, "task_path": task_path}
    wanted = {name: value for name, value in given.items() if value is not None}
    rows = _within(store, duration, _level_of({*by.fields, *wanted})).filter(**wanted)
    added: dict[int, dict[Key, Tally]] = defaultdict(dict)
    # Without an instance of the model for each, which would take as long as all the rest.
    for since, *values in _bounded(rows.values_list("since", *Key._fields, *COLUMNS)):
        key = by(Key._make(values[: len(Key._fields)]))
        tallies = added[since // seconds * seconds]
        tally = Tally.of_columns(values[len(Key._fields) :])
        if key in tallies:
            tallies[key].add(tally)
        else:
            tallies[key] = tally
    return [Point(datetime.fromtimestamp(since, UTC), added[since]) for since in sorted(added)]


def counts(store: Store, duration: timedelta) -> dict[Key, Counts]:
    """
    Return how many runs succeeded and failed in the latest ``duration``, two days at most, and how
    many attempts began, by backend, queue and task. The database adds them up, in one statement,
    because it reads no histograms. It begins with a full minute.
    """
    first = int(unix_time(store) - duration.total_seconds()) // MINUTE * MINUTE
    rows = _statistics(store).filter(
        seconds__in=[MINUTE, TEN_SECONDS], level=OF_SERIES, since__gte=first
    )
    sums = rows.values("backend", "queue_name", "task_path").annotate(
        **{f"all_{name}": Sum(name) for name in Counts._fields}
    )
    found: Iterable[Any] = sums.order_by()[:MAX_ROWS]
    return {
        Key(row["backend"], row["queue_name"], row["task_path"]): Counts._make(
            row[f"all_{name}"] for name in Counts._fields
        )
        for row in found
    }


class Busiest(NamedTuple):
    """
    What was counted of a task that has taken much time: how many of its runs ended, and what its
    attempts took, without a histogram if there are too many rows to read.
    """

    task_path: str
    tally: Tally


def busiest(store: Store, duration: timedelta, most: int) -> list[Busiest]:
    """
    Return the tasks whose attempts have taken the most time in the latest ``duration``, those
    first. The database adds up the counts of all tasks; the histograms of these alone are read.
    """
    rows = _within(store, duration, OF_SERIES)
    ended = {f"all_{name}": Sum(name) for name in FINISHED}
    added = rows.values("task_path").annotate(
        **ended, run_seconds=Sum("run_sum"), longest=Max("run_max")
    )
    found: list[Any] = [*added.order_by("-run_seconds", "task_path")[:most]]
    histograms = _run_histograms(rows, [row["task_path"] for row in found])
    return [
        Busiest(row["task_path"], _tally_of(row, histograms[row["task_path"]])) for row in found
    ]


def _tally_of(row: Any, runs: Histogram) -> Tally:
    tally = Tally()
    tally.counts = [row.get(f"all_{name}", 0) for name in COUNTS]
    tally.run_sum, tally.run_max, tally.runs = row["run_seconds"], row["longest"], runs
    return tally


def _run_histograms(rows: "QuerySet[Statistic]", task_paths: Sequence[str]) -> dict[str, Histogram]:
    texts: dict[str, list[str]] = {path: [] for path in task_paths}
    some = rows.filter(task_path__in=task_paths).exclude(runs="")
    try:
        for path, text in _bounded(some.values_list("task_path", "runs")):
            texts[path].append(text)
    except TooManyRows:
        return {path: Histogram() for path in task_paths}
    return {path: Histogram.parse_all(texts[path]) for path in task_paths}


def waits_of(points: Iterable[Point]) -> Histogram:
    """Return how long the attempts in these periods had waited."""
    waits = Histogram()
    for point in points:
        for tally in point.tallies.values():
            waits.merge(tally.waits)
    return waits


def period_for(duration: timedelta) -> int:
    """Return the seconds of the shortest periods of which there are at most MAX_POINTS."""
    for seconds in (MINUTE, TEN_MINUTES):
        if duration.total_seconds() / seconds <= MAX_POINTS and duration <= KEPT_FOR[seconds]:
            return seconds
    return HOUR


def _level_of(names: set[str]) -> int:
    """Return the level whose rows have these fields of a key."""
    if not names:
        return OF_EVERYTHING
    return OF_SERIES if "task_path" in names else OF_QUEUE


def _within(store: Store, duration: timedelta, level: int) -> "QuerySet[Statistic]":
    """
    Return the rows of this level of the latest ``duration``, with those that were not compacted
    yet.
    """
    seconds = period_for(duration)
    first = int(unix_time(store) - duration.total_seconds()) // seconds * seconds
    periods = [seconds, TEN_SECONDS]
    return _statistics(store).filter(seconds__in=periods, level=level, since__gte=first)


def _statistics(store: Store) -> "QuerySet[Statistic]":
    return Statistic.objects.using(store.alias)


def _bounded(rows: "QuerySet[Statistic, tuple[Any, ...]]") -> Iterator[tuple[Any, ...]]:
    read = [*rows[: MAX_ROWS + 1]]
    if len(read) > MAX_ROWS:
        raise TooManyRows(f"There are more than {MAX_ROWS} rows of statistics to read.")
    yield from read
