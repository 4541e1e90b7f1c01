"""How much waited, and how busy workers were, over time."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from taskworks.duties.sampling import Sampling
from taskworks.models import Duty, Gauge, TaskRun, Worker
from taskworks.models.statistic import HOUR, MINUTE, OTHERS, TEN_MINUTES
from taskworks.statistics import gauges
from taskworks.statistics.compaction import unix_time
from taskworks.statistics.gauges import depths_before, forget_gauges, sample
from taskworks.store import Store
from taskworks.store.shared_duties import GAUGES
from tests import tasks
from tests.connections import held_elsewhere
from tests.waiting import wait_for

PERIODS = (MINUTE, TEN_MINUTES, HOUR)


@pytest.fixture(autouse=True)
def _one_period(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """No minute ends within a test."""
    now = unix_time(store)
    monkeypatch.setattr(gauges, "unix_time", lambda store: now)


def register(store: Store, **columns: Any) -> Worker:
    worker = Worker(label="w", hostname="h", pid=1, slots={"thread": 4, "async": 10}, **columns)
    store.register(worker)
    return worker


def enqueue(number: int, queue_name: str = "mail", ago: float = 0.0) -> None:
    ids = [result.id for result in tasks.noop.enqueue_many([()] * number)]
    runs = TaskRun.objects.filter(id__in=ids)
    since = runs[0].available_at - timedelta(seconds=ago)
    runs.update(available_at=since, queue_name=queue_name)


def test_a_sample_says_how_it_is_in_each_queue_and_in_all(store: Store) -> None:
    register(store, queues=["mail"])
    register(store, queues=["other", "mail"])
    enqueue(6, ago=40)
    TaskRun.objects.filter(id__in=[run.id for run in TaskRun.objects.all()[:2]]).update(
        state="running", claimed_by=Worker.objects.all()[0].id
    )
    enqueue(1, "other")
    enqueue(1, "nobody's")
    sample(store)
    assert Gauge.objects.count() == 4 * len(PERIODS)
    [everything] = gauges.gauges(store, timedelta(hours=1))
    assert (everything.depth, everything.depth_max) == (6, 6)
    assert (everything.busy, everything.slots) == (2, 28)
    assert 40 <= (everything.oldest_max or 0) < 100
    [mail] = gauges.gauges(store, timedelta(hours=1), backend="default", queue_name="mail")
    assert (mail.depth, mail.busy, mail.busy_max, mail.slots) == (4, 2, 2, 28)
    [other] = gauges.gauges(store, timedelta(hours=1), backend="default", queue_name="other")
    assert (other.depth, other.busy, other.slots) == (1, 0, 14)
    [nobody] = gauges.gauges(store, timedelta(days=2), backend="default", queue_name="nobody's")
    assert (nobody.depth, nobody.slots) == (1, 0)


def test_samples_of_a_period_are_added_up(store: Store) -> None:
    enqueue(3, ago=30)
    sample(store)
    TaskRun.objects.all().delete()
    sample(store)  # nothing waits
    sample(store)
    enqueue(6)
    sample(store)
    for queue in ({}, {"backend": "default", "queue_name": "mail"}):
        for duration in (timedelta(hours=1), timedelta(days=1), timedelta(days=30)):
            [point] = gauges.gauges(store, duration, **queue)
            assert (point.depth, point.depth_max) == (9 / 4, 6)
            assert 30 <= (point.oldest_max or 0) < 90
    [quiet] = gauges.gauges(store, timedelta(hours=1), backend="default", queue_name="quiet")
    assert quiet[1:] == (0.0, 0, None, 0.0, 0, 0.0)
    assert Gauge.objects.filter(queue_name="").get(seconds=HOUR).samples == 4


def test_a_chart_has_one_point_for_each_minute_in_which_a_worker_lived(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = unix_time(store)
    for ago in (0, 60, 300):
        moment = now - ago
        monkeypatch.setattr(gauges, "unix_time", lambda store, moment=moment: moment)
        sample(store)
    monkeypatch.setattr(gauges, "unix_time", lambda store: now)
    points = gauges.gauges(store, timedelta(hours=1))
    starts = [(now - ago) // 60 * 60 for ago in (300, 60, 0)]
    assert [int(point.at.timestamp()) for point in points] == starts
    enqueue(5)
    found = depths_before(store, timedelta(minutes=15))
    assert found is not None
    ago, depths = found
    assert (depths, 240 <= ago.total_seconds() <= 330) == ({}, True)


def test_with_more_queues_than_are_told_apart_the_deepest_are(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gauges, "MAX_QUEUES", 3)
    for number in range(6):
        enqueue(number + 1, f"q{number}")
    sample(store)
    depths = {g.queue_name: g.depth_sum for g in Gauge.objects.filter(seconds=HOUR)}
    # The hour has room for three in all.
    assert sum(depths.values()) == 2 * 21
    assert depths[""] == 21
    assert len(depths) <= 5
    assert OTHERS in depths
    for number in range(6):
        enqueue(10, f"new {number}")
    sample(store)
    later = {g.queue_name: g.depth_sum for g in Gauge.objects.filter(seconds=HOUR)}
    assert len(later) <= 6
    assert later[""] == 21 + 81


def test_what_is_too_old_is_deleted_and_what_lies_ahead(store: Store) -> None:
    sample(store)
    Gauge.objects.filter(seconds=MINUTE).update(since=unix_time(store) - 3 * 86_400)
    Gauge.objects.filter(seconds=HOUR).update(since=unix_time(store) + 86_400)
    assert gauges.gauges(store, timedelta(hours=400)) == []
    assert forget_gauges(store, 10) == 2
    assert [row.seconds for row in Gauge.objects.all()] == [TEN_MINUTES]


def test_one_worker_samples_for_all_twice_a_minute(store: Store) -> None:
    sampling = Sampling(store)
    for _ in range(3):
        sampling.try_step()
    assert Gauge.objects.get(seconds=MINUTE).samples == 1
    Duty.objects.filter(name=GAUGES).update(done_at=store.read_clock() - timedelta(seconds=31))
    if connection.vendor != "sqlite":  # which has one writer at a time
        with held_elsewhere(lambda: Duty.objects.select_for_update().get(name=GAUGES)):
            sampling.try_step()
    assert Gauge.objects.get(seconds=MINUTE).samples == 1
    sampling.try_step()
    assert Gauge.objects.get(seconds=MINUTE).samples == 2
    connections.close_all()


def test_a_heartbeat_says_that_it_is_time(store: Store, settings: Any) -> None:
    worker = register(store)
    silence = timedelta(seconds=30)
    assert store.overview(silence, worker.id).gauges_due
    Sampling(store).try_step()
    assert not store.overview(silence, worker.id).gauges_due
    ahead = store.read_clock() + timedelta(hours=5)
    Duty.objects.filter(name=GAUGES).update(done_at=ahead)  # somebody has set the clock back
    assert store.overview(silence, worker.id).gauges_due
    settings.TASKWORKS = {**settings.TASKWORKS, "STATISTICS": False}
    assert not store.overview(silence, worker.id).gauges_due


def test_a_sample_of_an_idle_database_takes_few_statements(store: Store) -> None:
    register(store)
    sample(store)
    with CaptureQueriesContext(connection) as captured:
        sample(store)
    assert len(captured) <= 25
    asked = [query["sql"] for query in captured if query["sql"].startswith("SELECT")]
    assert len([sql for sql in asked if "taskworks_gauge" in sql]) == 2, "for all periods at once"
    assert wait_for(lambda: Gauge.objects.get(seconds=MINUTE).samples == 2, "both are added")
