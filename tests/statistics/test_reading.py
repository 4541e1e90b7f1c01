"""What is read of statistics: by task and queue, period by period, and never too much."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from taskworks.duties.tidy import tidy
from taskworks.models import Statistic
from taskworks.models.statistic import EVER, HOUR, MINUTE, TEN_MINUTES
from taskworks.statistics import reading
from taskworks.statistics.compaction import compact, unix_time
from taskworks.statistics.histogram import Histogram
from taskworks.statistics.reading import Key, TooManyRows, by_nothing, by_queue, by_task
from taskworks.store import Store
from tests.statistics.conftest import Flushed


def test_what_is_not_compacted_yet_is_read_as_well(store: Store, flushed: Flushed) -> None:
    flushed("a.b", ago=300, successful=2, took=[0.1])
    flushed("a.b", ago=250, queue_name="imports", failed=1)
    compact(store)
    flushed("a.b", ago=20, successful=1, failed=1, took=[8.0])
    hour = timedelta(hours=1)
    assert {key: t["successful"] for key, t in reading.within(store, hour).items()} == {
        Key("default", "mail", "a.b"): 3,
        Key("default", "imports", "a.b"): 0,
    }
    [(key, tally)] = reading.within(store, hour, by=by_task).items()
    assert key == Key(task_path="a.b")
    assert (tally["successful"], tally["failed"], tally.finished) == (3, 2, 5)
    assert tally.failure_share == 2 / 5
    assert (tally.run_max, tally.runs.total) == (8.0, 2)
    assert {*reading.within(store, hour, by=by_queue)} == {
        Key("default", "mail"),
        Key("default", "imports"),
    }


def test_a_series_has_a_point_for_each_period_in_which_something_was(
    store: Store, flushed: Flushed
) -> None:
    since = unix_time(store) // HOUR * HOUR - 2 * HOUR
    for minute in (0, 0, 1, 5):
        flushed(since=since + minute * MINUTE, successful=1)
    compact(store)
    points = reading.series(store, timedelta(hours=3), by=by_nothing)
    assert [(p.at, p.tallies[Key()]["successful"]) for p in points] == [
        (datetime.fromtimestamp(since + minute * MINUTE, UTC), number)
        for minute, number in ((0, 2), (1, 1), (5, 1))
    ]
    [point] = reading.series(store, timedelta(days=10), by=by_nothing)
    assert point.tallies[Key()]["successful"] == 4
    assert reading.series(store, timedelta(hours=3), queue_name="imports") == []
    assert reading.series(store, timedelta(hours=3), task_path='it\'s "odd"\n%') == []


def test_what_is_together_is_read_from_sums(
    store: Store, flushed: Flushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        names = {"queue_name": f"queue {number % 2}", "backend": f"backend {number % 4 // 2}"}
        flushed(f"task {number}", ago=300, successful=1, took=[1.0], **names)
    compact(store)
    flushed("task 0", queue_name="queue 0", backend="backend 0", successful=1, took=[2.0])
    monkeypatch.setattr(reading, "MAX_ROWS", 3 * 4 + 1)  # a minute may begin between two of these
    hour = timedelta(hours=1)
    [of_all] = reading.within(store, hour, by=by_nothing).values()
    assert (of_all["successful"], of_all.runs.total) == (41, 41)
    of_queues = reading.within(store, hour, by=by_queue)
    assert {key: tally["successful"] for key, tally in of_queues.items()} == {
        Key("backend 0", "queue 0"): 11,
        Key("backend 0", "queue 1"): 10,
        Key("backend 1", "queue 0"): 10,
        Key("backend 1", "queue 1"): 10,
    }
    points = reading.series(store, hour, by=by_nothing, queue_name="queue 0")
    assert sum(tally["successful"] for point in points for tally in point.tallies.values()) == 21
    with pytest.raises(TooManyRows):
        reading.within(store, hour, by=by_task)


def test_the_busiest_tasks_are_those_that_take_the_most_time(
    store: Store, flushed: Flushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 6):
        flushed(f"task {number}", ago=300, successful=2, failed=1, took=[number, number, 0.5])
        flushed(f"task {number}", ago=280, queue_name="imports", cancelled=1)
    compact(store)
    flushed("task 2", successful=1, took=[100.0])
    first, second, third = reading.busiest(store, timedelta(hours=1), 3)
    assert [one.task_path for one in (first, second, third)] == ["task 2", "task 5", "task 4"]
    tally = first.tally
    assert (tally.finished, tally["failed"], tally.run_sum, tally.run_max) == (5, 1, 104.5, 100.0)
    assert tally.runs == Histogram.of([2.0, 2.0, 0.5, 100.0])
    monkeypatch.setattr(reading, "MAX_ROWS", 1)
    [first] = reading.busiest(store, timedelta(hours=1), 1)
    assert (first.tally.finished, first.tally.run_quantile(0.5)) == (5, None)


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        (timedelta(minutes=1), MINUTE),
        (timedelta(hours=3), MINUTE),
        (timedelta(hours=24), TEN_MINUTES),
        (timedelta(days=7), HOUR),
        (timedelta(days=400), HOUR),
    ],
)
def test_a_longer_time_has_longer_periods(duration: timedelta, seconds: int) -> None:
    assert reading.period_for(duration) == seconds


def test_each_is_one_statement_besides_the_clock(store: Store, flushed: Flushed) -> None:
    flushed(successful=1)
    with CaptureQueriesContext(connection) as queries:
        reading.totals(store)
    assert len(queries) == 1
    with CaptureQueriesContext(connection) as queries:
        reading.within(store, timedelta(hours=1))
    assert len([q for q in queries if "taskworks_statistic" in q["sql"]]) == 1


def test_too_much_is_not_read(
    store: Store, flushed: Flushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_ROWS", 5)
    for number in range(6):
        flushed(f"task {number}", successful=1)
    with pytest.raises(TooManyRows, match="more than 5 rows"):
        reading.within(store, timedelta(hours=1))
    assert reading.series(store, timedelta(hours=1), task_path="task 1")


def test_each_period_is_kept_as_long_as_it_is_of_use(store: Store) -> None:
    now, day = unix_time(store), 86_400
    for seconds, days in ((MINUTE, 2), (TEN_MINUTES, 15), (HOUR, 400)):
        for age, level in product((days * day - 1000, days * day + 1000), (0, 1, 2)):
            row = {"seconds": seconds, "level": level, "since": now - age}
            Statistic.objects.create(id=uuid4(), **row)
    Statistic.objects.create(id=uuid4(), seconds=EVER, since=0)
    tidy(store)
    rows = Statistic.objects.exclude(seconds=EVER)
    kept = Counter((row.seconds, (now - row.since) // day) for row in rows)
    assert kept == {(MINUTE, 1): 3, (TEN_MINUTES, 14): 3, (HOUR, 399): 3}
    assert Statistic.objects.filter(seconds=EVER).exists()
