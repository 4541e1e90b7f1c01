"""What is read of statistics: by task and queue, period by period, and never too much."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from taskworks.duties.tidy import tidy
from taskworks.models import Statistic
from taskworks.models.statistic import EVER, HOUR, MINUTE, TEN_MINUTES
from taskworks.statistics import reading
from taskworks.statistics.compaction import compact, unix_time
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
        for age in (days * day - 1000, days * day + 1000):
            Statistic.objects.create(id=uuid4(), seconds=seconds, since=now - age)
    Statistic.objects.create(id=uuid4(), seconds=EVER, since=0)
    tidy(store)
    kept = sorted((s.seconds, (now - s.since) // day) for s in Statistic.objects.exclude(seconds=0))
    assert kept == [(MINUTE, 1), (TEN_MINUTES, 14), (HOUR, 399)]
    assert Statistic.objects.filter(seconds=EVER).exists()
