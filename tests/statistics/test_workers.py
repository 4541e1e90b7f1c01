"""What workers count, whatever becomes of their runs, and when they write it."""

import logging
import pstats
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from cProfile import Profile
from datetime import timedelta
from typing import Any, get_args
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, connections
from django.test.utils import CaptureQueriesContext

from taskworks import Retry, Snooze, task, task_backends
from taskworks.duties.bookkeeping import Bookkeeping
from taskworks.duties.rescue import rescue
from taskworks.execution import Attempt, Fenced, Outcome, Settled
from taskworks.models import Statistic, TaskRun, Worker
from taskworks.models.statistic import OF_EVERYTHING, OF_QUEUE, OF_SERIES, OTHERS
from taskworks.recording.events import Attempts, Subscriber
from taskworks.statistics import flushing as module
from taskworks.statistics import reading
from taskworks.statistics.collector import MAX_SERIES, PLACES, Collector, Series
from taskworks.statistics.flushing import Flushing
from taskworks.statistics.places import total_of
from taskworks.statistics.tally import Tally
from taskworks.store import Store
from taskworks.worker import Options, Queues, Sizes
from taskworks.worker import Worker as WorkerOfRuns
from tests import tasks
from tests.behavior import run_worker
from tests.clocks import Clock
from tests.connections import begin_elsewhere, held_elsewhere
from tests.statistics.conftest import counted, of_tasks
from tests.waiting import wait_for


def test_every_outcome_is_counted_as_something() -> None:
    assert {*PLACES} == {*get_args(Outcome), type(None)}
    assert [outcome for outcome in get_args(Settled) if not PLACES[outcome]] == [Fenced]


@task
def ask_for_more() -> None:
    raise Retry


@task
def ask_for_later() -> None:
    raise Snooze(after=3600)


@task
def go_on() -> None:
    # In steps that can be interrupted: with a thread that has an interrupt pending, a profile of
    # another one never ends on Python 3.11.
    while True:
        time.sleep(0.01)


def test_each_count_is_that_of_the_record(store: Store) -> None:
    for _ in range(3):
        tasks.noop.enqueue()
    tasks.noop_async.enqueue()
    tasks.fail.enqueue()
    tasks.fail.using(max_attempts=2, backoff=3600).enqueue()
    ask_for_later.enqueue()
    go_on.using(timeout=0.05).enqueue()
    run_worker()
    assert counted(store) == {
        "attempts": 8,
        "successful": 4,
        "failed": 2,
        "retried": 1,
        "snoozed": 1,
        "timed_out": 1,
    }
    assert of_tasks(store)["tests.tasks.noop"] == 3
    [noop] = [t for k, t in reading.totals(store).items() if k.task_path == "tests.tasks.noop"]
    assert noop.runs.total == noop.waits.total == 3
    assert 0 < (noop.run_max or 0) <= noop.run_sum < 10


def test_how_long_a_run_has_waited_counts_from_when_it_was_ready(store: Store) -> None:
    result = tasks.noop.enqueue()
    ready = store.read_clock() - timedelta(seconds=100)
    TaskRun.objects.filter(id=result.id).update(available_at=ready)
    run_worker()
    [tally] = reading.totals(store).values()
    assert tally.waits.quantile(0.5) == pytest.approx(100, rel=0.2)
    assert 100 <= tally.wait_sum < 130
    [stored] = TaskRun.objects.all()
    assert stored.last_attempted_at is not None
    exact = (stored.last_attempted_at - ready).total_seconds()
    assert tally.wait_sum == pytest.approx(exact, abs=0.01)


def test_a_clock_that_was_set_back_makes_no_negative_wait(store: Store) -> None:
    result = tasks.noop.enqueue()
    ahead = store.read_clock() + timedelta(hours=5)
    TaskRun.objects.filter(id=result.id).update(available_at=ahead)
    run_worker()
    [tally] = reading.totals(store).values()
    assert (tally.wait_sum, tally.waits.total) == (0.0, 1)


def test_runs_of_dead_workers_are_counted_by_who_rescues_them(store: Store) -> None:
    collector = Collector()
    for options in ({}, {"delivery": "at_most_once"}, {}):
        result = tasks.noop.using(**options).enqueue()
        now = store.read_clock()
        TaskRun.objects.filter(id=result.id).update(
            state="running", claimed_by=uuid4(), claim_token=uuid4(), started_at=now, attempts=1
        )
    TaskRun.objects.filter(id=result.id).update(cancel_requested_at=now)
    rescue(store, tell=collector.rescued)
    Flushing(store, collector, uuid4, 5.0).flush()
    assert counted(store) == {"rescued": 1, "failed": 1, "lost": 1, "cancelled": 1}


def test_names_with_quotes_and_line_breaks(store: Store) -> None:
    name = 'it\'s "odd"\n%s'
    TaskRun.objects.filter(id=tasks.noop.enqueue().id).update(callable_path=name)
    run_worker()
    assert of_tasks(store) == {name: 1}


def test_no_more_than_so_many_tasks_are_told_apart(store: Store) -> None:
    collector = Collector()
    for number in range(2000):
        collector._new_tally((0, "default", "mail", f"task {number}")).counts[1] += 1
    assert len(collector._tallies) == MAX_SERIES + 1
    Flushing(store, collector, uuid4, 5.0).flush()
    assert counted(store) == {"successful": 2000}
    assert of_tasks(store)[OTHERS] == 2000 - MAX_SERIES


def test_nor_so_many_queues() -> None:
    collector = Collector()
    for number in range(5000):
        collector._new_tally((0, "default", f"queue {number}", "task")).counts[1] += 1
    assert len(collector._tallies) <= 2 * MAX_SERIES + 1


def test_totals_that_were_seen_are_not_remembered_without_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_KNOWN", 50)
    collector = Collector()
    flushing = Flushing(store, collector, uuid4, 5.0)
    for number in range(200):
        collector._new_tally((0, "default", f"tenant {number}", "task")).counts[1] += 1
        if number % 10 == 9:
            flushing.flush()
            assert len(flushing._known) < 60
    assert counted(store) == {"successful": 200}


# When it is written.


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


class Counting(Collector):
    """Has something to write each time, if it is to."""

    def __init__(self, *, has_something: bool = True) -> None:
        self.has_something = has_something

    def take(self) -> dict[Series, Tally]:
        if not self.has_something:
            return {}
        tally = Tally()
        tally.counts[1] = 1
        return {Series(0, "default", "mail", "a.b"): tally}


def test_it_is_written_every_ten_seconds_in_one_insert(store: Store, clock: Clock) -> None:
    flushing = Flushing(store, Counting(), uuid4, interval=5.0)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(12):  # heartbeats
            clock.now += 5.0
            flushing.flush_if_due()
    levels = Counter(Statistic.objects.filter(seconds=10).values_list("level", flat=True))
    assert levels == {OF_SERIES: 6, OF_QUEUE: 6, OF_EVERYTHING: 6}
    inserts = [q["sql"] for q in queries if q["sql"].startswith("INSERT")]
    assert len(inserts) == 6


def test_an_idle_worker_writes_nothing(store: Store, clock: Clock) -> None:
    flushing = Flushing(store, Counting(has_something=False), uuid4, interval=5.0)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(12):
            clock.now += 5.0
            flushing.flush_if_due()
    assert len(queries) == 0


def test_an_insert_whose_answer_was_lost_counts_once(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = Counting()
    flushing = Flushing(store, collector, uuid4, interval=5.0)
    locking = store.locking

    @contextmanager
    def commit_and_lose(*args: Any) -> Iterator[None]:
        with locking(*args):
            yield
        raise DatabaseError("the connection is gone")

    monkeypatch.setattr(store, "locking", commit_and_lose)
    flushing.flush()
    assert counted(store)
    monkeypatch.setattr(store, "locking", locking)
    collector.has_something = False
    flushing.flush()
    assert counted(store) == {"successful": 1}
    flushing.flush()
    assert counted(store) == {"successful": 1}


def test_what_may_have_been_compacted_is_not_inserted_again(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def lose(*args: Any) -> None:
        raise DatabaseError("the table is locked")

    flushing = Flushing(store, Counting(), uuid4, interval=5.0)
    insert = module.insert
    monkeypatch.setattr(module, "insert", lose)
    for _ in range(20):  # not more than a minute's is kept
        flushing.flush()
        clock.now += 10.0
    monkeypatch.setattr(module, "insert", insert)
    flushing.flush()
    assert counted(store)["successful"] in (6, 7)
    assert "were dropped" in caplog.text


def test_switched_off_nothing_is_counted_nor_asked(store: Store, settings: Any) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "STATISTICS": False}
    tasks.noop.enqueue()
    tasks.fail.enqueue()
    run_worker()
    assert Statistic.objects.count() == 0
    row = Worker(id=uuid4(), label="w", hostname="h", pid=1)
    store.register(row)
    with CaptureQueriesContext(connection) as queries:
        store.overview(timedelta(seconds=1), witness=row.id)
    assert "taskworks_statistic" not in queries[0]["sql"]


def test_a_worker_without_the_table_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(*args: Any) -> None:
        raise DatabaseError("no such table: taskworks_statistic")

    monkeypatch.setattr(module, "insert", missing)
    tasks.noop.enqueue()
    run_worker()
    assert TaskRun.objects.get().state == "successful"
    assert "Database error while writing statistics" in caplog.text
    assert not Worker.objects.exists()


def test_a_worker_compacts_by_itself(
    store: Store, flushed: Any, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    flushed(ago=500, successful=7)
    options = Options(queues=Queues(), sizes=Sizes(threads=1), interval=0.02)
    worker = WorkerOfRuns(task_backends["default"], options)
    running = begin_elsewhere(worker.run)
    try:
        wait_for(lambda: not Statistic.objects.filter(seconds=10).exists(), "they are compacted")
    finally:
        worker.stop()
        running.result(timeout=60)
    assert counted(store) == {"successful": 7}
    connections.close_all()


def test_compaction_does_not_depend_on_the_grouping_of_failures(
    store: Store, flushed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(store: Store) -> int:
        raise DatabaseError("no such table: taskworks_failuregroup")

    monkeypatch.setattr("taskworks.failures.grouping.Grouping.step", broken)
    flushed(ago=500, successful=7)
    with pytest.raises(DatabaseError):
        Bookkeeping(store).step()
    assert not Statistic.objects.filter(seconds=10).exists()
    assert counted(store) == {"successful": 7}


def test_whoever_locks_the_table_does_not_keep_a_worker_from_its_heartbeats(store: Store) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time, for whom heartbeats wait as well.")
    collector = Collector()
    flushing = Flushing(store, collector, uuid4, 5.0)
    collector._new_tally((0, "default", "mail", "task")).counts[1] += 1
    place = total_of("default", "mail", "task")
    total = Tally().row(place.id, **place._asdict())
    with held_elsewhere(total.save):
        flushing.flush()
        assert flushing._failed
    flushing.flush()
    assert not flushing._failed
    assert counted(store) == {"successful": 1}


def test_nor_does_a_lock_of_the_table_itself(store: Store) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no locks of tables.")
    collector = Collector()
    flushing = Flushing(store, collector, uuid4, 5.0)
    collector._new_tally((0, "default", "mail", "task")).counts[1] += 1

    def lock() -> None:
        table = "taskworks_statistic"
        is_mysql = connection.vendor == "mysql"
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLES {table} WRITE" if is_mysql else f"LOCK TABLE {table}")

    with held_elsewhere(lock):
        flushing.flush()
        assert flushing._failed
    flushing.flush()
    assert counted(store) == {"successful": 1}


# What it costs.


class Spy(Subscriber):
    """Keeps the attempts of which it hears."""

    def __init__(self) -> None:
        self.heard: list[Attempt] = []

    def recorded(self, attempts: Attempts) -> None:
        self.heard += attempts


def test_an_attempt_costs_no_call_of_a_python_function(store: Store) -> None:
    for _ in range(20):
        tasks.noop.enqueue()
    spy = Spy()
    options = Options(queues=Queues(), sizes=Sizes(threads=1), batch=True, interval=0.02)
    WorkerOfRuns(task_backends["default"], options, subscribers=[spy]).run()

    attempts = spy.heard * 10
    assert len(attempts) == 200
    profile = Profile()
    profile.runcall(Collector().recorded, attempts)
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    # Without what is called now and then, such as by the collector of garbage.
    per_attempt = {place: calls for place, (calls, *_) in stats.items() if calls >= len(attempts)}
    assert [place for place in per_attempt if place[0] != "~"] == []
    assert sum(per_attempt.values()) / len(attempts) < 16
