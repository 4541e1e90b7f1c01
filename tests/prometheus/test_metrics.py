"""What the metrics say, and that there are never too many of them."""

import time as wall_clock
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from taskworks import control
from taskworks.models import Firing, RunState, Schedule, Statistic, TaskRun, Worker
from taskworks.models.statistic import EVER, OTHERS
from taskworks.prometheus import counted, facts
from taskworks.prometheus.collector import TaskworksCollector
from taskworks.prometheus.labels import ALL
from taskworks.statistics import compaction, flushing, reading
from taskworks.statistics.compaction import COMPACTED_AFTER, compact
from taskworks.statistics.histogram import Histogram
from taskworks.store import Store
from tests import tasks
from tests.behavior import run_worker
from tests.prometheus.conftest import Metrics, Settings, metrics, scraped, without_statistics
from tests.schedules.firing import scheduled
from tests.statistics.conftest import Flushed

NOOP = {"backend": "default", "queue": "default", "task": "tests.tasks.noop"}
LONG_AGO = COMPACTED_AFTER + 60


def new_worker(store: Store, silent_for: float = 0.0, **columns: Any) -> Worker:
    now = store.read_clock()
    columns = {"label": "w", "hostname": "h", "pid": 1, "slots": {"thread": 4}, **columns}
    heard_at = now - timedelta(seconds=silent_for)
    return Worker.objects.create(started_at=now, heartbeat_at=heard_at, **columns)


def test_counts_are_those_of_what_workers_did(store: Store) -> None:
    for _ in range(3):
        tasks.noop.enqueue()
    tasks.fail.using(queue_name="mail").enqueue()
    run_worker()
    found = metrics()
    assert found.value("taskworks_runs_finished_total", **NOOP, outcome="successful") == 3
    assert found.value("taskworks_runs_finished_total", queue="mail", outcome="failed") == 1
    assert found.value("taskworks_attempts_started_total", **NOOP) == 3
    assert found.value("taskworks_run_seconds_count", **NOOP) == 3
    assert found.value("taskworks_wait_seconds_bucket", **NOOP, le="+Inf") == 3
    assert 0 < found.value("taskworks_run_seconds_sum", **NOOP) < 60
    assert found.value("taskworks_scrape_ok") == 1
    assert found.value("taskworks_build_info", database=connection.vendor) == 1


def test_what_waits_is_told_by_queue_and_state(store: Store) -> None:
    first = tasks.noop.using(queue_name="imports").enqueue()
    tasks.noop.using(queue_name="imports").enqueue()
    tasks.noop.using(queue_name="mail", run_after=timedelta(hours=1)).enqueue()
    ago = store.read_clock() - timedelta(minutes=10)
    TaskRun.objects.filter(id=first.id).update(available_at=ago)
    worker = new_worker(store, queues=["mail"], busy=1)
    new_worker(store, silent_for=100)
    taken = tasks.noop.enqueue()
    TaskRun.objects.filter(id=taken.id).update(
        state=RunState.RUNNING, claimed_by=worker.id, claim_token=uuid4(), claimed_at=ago
    )
    control.pause("mail", reason="The provider is down.")
    found = metrics()

    def runs(queue: str) -> dict[str, float]:
        of = {"backend": "default", "queue": queue}
        states = ("blocked", "scheduled", "ready", "in_hand")
        return {s: found.value("taskworks_runs", **of, state=s) for s in states}

    assert runs("imports") == {"blocked": 0, "scheduled": 0, "ready": 2, "in_hand": 0}
    assert runs("mail") == {"blocked": 0, "scheduled": 1, "ready": 0, "in_hand": 0}
    assert runs("default") == {"blocked": 0, "scheduled": 0, "ready": 0, "in_hand": 1}
    assert found.value("taskworks_oldest_ready_seconds", queue="imports") == pytest.approx(600, 0.2)
    assert found.value("taskworks_oldest_ready_seconds", queue="mail") == 0
    assert found.value("taskworks_queue_paused", queue="mail") == 1
    assert found.value("taskworks_queue_paused", queue="imports") == 0
    assert found.value("taskworks_queue_workers", queue="mail") == 1
    assert found.value("taskworks_queue_workers", queue="imports") == 0
    assert found.value("taskworks_workers", backend="default") == 1
    assert found.value("taskworks_worker_slots", backend="default") == 4
    assert found.value("taskworks_worker_busy_slots", backend="default") == 1
    assert found.value("taskworks_worker_heartbeat_age_seconds", backend="default") > 99
    assert found.value("taskworks_problems", problem="queue_without_worker") >= 1
    assert found.value("taskworks_runs_is_capped", state="ready") == 0


def test_schedules_are_told_by_their_labels(store: Store) -> None:
    late, early = scheduled(label="late"), scheduled(label="early", enabled=False)
    ago = store.read_clock() - timedelta(minutes=5)
    Schedule.objects.filter(pk=late.pk).update(next_run=ago, due_at=ago)
    for number, state in enumerate(["successful", "failed"]):
        run = tasks.noop.enqueue()
        finished_at = ago + timedelta(seconds=number)
        TaskRun.objects.filter(id=run.id).update(state=state, finished_at=finished_at)
        at = ago + timedelta(minutes=number)
        Firing.objects.create(schedule=late, planned_at=at, fired_at=at, run=run.id)
    found = metrics()
    assert found.value("taskworks_schedule_enabled", schedule="late") == 1
    assert found.value("taskworks_schedule_enabled", schedule="early") == 0
    assert found.value("taskworks_schedule_late_seconds", schedule="late") == pytest.approx(
        300, 0.3
    )
    assert found.value("taskworks_schedule_late_seconds", schedule="early") == 0
    succeeded = found.of("taskworks_schedule_last_success_timestamp_seconds")
    [(labels, at_time)] = succeeded.items()
    assert labels == {("schedule", "late")}
    assert at_time == pytest.approx(wall_clock.time() - 300, abs=120)
    assert early.pk


@pytest.mark.any_database
def test_histograms_are_exact_at_their_bounds(store: Store, flushed: Flushed) -> None:
    took = [0.0001, 0.0078125, 0.008, 0.9, 1.0, 1.1, 4000.0, 5000.0, 90_000.0]
    flushed(took=took, attempts=len(took))
    found = metrics()
    for exponent in range(-7, 13):
        bound = 2.0**exponent
        value = found.value("taskworks_run_seconds_bucket", task="a.b", le=str(bound))
        assert value == sum(seconds <= bound for seconds in took), bound
    assert found.value("taskworks_run_seconds_bucket", task="a.b", le="+Inf") == len(took)


# Counters never fall.


@pytest.mark.thorough_on_servers
def test_no_counter_falls_whatever_is_added_up_meanwhile(
    store: Store, flushed: Flushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = dict.fromkeys((EVER, *compaction.KEPT_FOR), 3)
    monkeypatch.setattr(compaction, "MAX_SERIES", limits)
    monkeypatch.setattr(flushing, "MAX_SERIES", limits)
    seen: dict[Any, float] = {}
    for number in range(8):
        flushed(f"task {number % 5}", ago=LONG_AGO, successful=1, attempts=1, took=[1.0])
        for _ in range(2):
            found = metrics()
            now = {
                (name, labels): value
                for name in ("taskworks_runs_finished_total", "taskworks_run_seconds_bucket")
                for labels, value in found.of(name).items()
            }
            assert all(now[key] >= value for key, value in seen.items())
            seen = now
            if number % 4 == 3:
                compact(store)
    assert metrics().value("taskworks_attempts_started_total", task=OTHERS) > 0


def test_what_cannot_be_read_is_told_as_before_counts_with_the_time_of_that(
    store: Store, flushed: Flushed
) -> None:
    tasks.noop.using(queue_name="mail").enqueue()
    flushed(successful=5)
    before = metrics()
    with without_statistics():
        tasks.noop.using(queue_name="mail").enqueue()
        text = scraped()
    after = Metrics(text)
    assert after.value("taskworks_scrape_ok") == 0
    assert after.value("taskworks_runs", queue="mail", state="ready") == 1
    assert after.of("taskworks_runs_finished_total") == before.of("taskworks_runs_finished_total")
    for family in after.families.values():
        times = {bool(sample.timestamp) for sample in family.samples}
        assert times <= {family.type != "gauge"}, family.name
    now = metrics()
    assert now.value("taskworks_scrape_ok") == 1
    assert now.value("taskworks_runs", queue="mail", state="ready") == 2
    assert not any(sample.timestamp for sample in now.samples)


@pytest.mark.any_database
def test_a_process_that_has_never_read_says_only_that(store: Store) -> None:
    with without_statistics():
        found = metrics()
    names = {sample.name for sample in found.samples}
    assert names == {"taskworks_scrape_ok", "taskworks_scrape_seconds", "taskworks_build_info"}


def test_a_clock_that_was_set_back_makes_nothing_negative(store: Store, flushed: Flushed) -> None:
    to_come = store.read_clock() + timedelta(hours=5)
    run = tasks.noop.enqueue()
    TaskRun.objects.filter(id=run.id).update(available_at=to_come)
    worker = new_worker(store)
    Worker.objects.filter(id=worker.id).update(heartbeat_at=to_come)
    schedule = scheduled(label="nightly")
    Schedule.objects.filter(pk=schedule.pk).update(next_run=to_come, due_at=to_come)
    flushed(ago=-5 * 3600, successful=1)
    found = metrics()
    assert found.value("taskworks_oldest_ready_seconds", queue="default") == 0
    assert found.value("taskworks_workers", backend="default") == 1
    assert min(sample.value for sample in found.samples) >= 0
    assert found.value("taskworks_runs_finished_total", task="a.b", outcome="successful") == 1


# What others have written.


def test_hostile_names_are_escaped_and_none_is_told_twice(store: Store, flushed: Flushed) -> None:
    names = [
        'it\'s "quoted"',
        "two\nlines",
        "back\\slash",
        "a\\nb",
        "{x=1}",
        "\u202eRTL",
        "x\x1b[31m",
    ]
    for name in names:
        flushed(name, successful=1, queue_name=name)
        run = tasks.noop.using(backend="other", queue_name="any").enqueue()
        TaskRun.objects.filter(id=run.id).update(queue_name=name)
    label = 'nightly "\n\\'
    scheduled(label=label)
    found = metrics()
    told = {dict(labels)["task"] for labels in found.of("taskworks_attempts_started_total")}
    assert told == {*names}
    for name in names:
        assert found.value("taskworks_runs", backend="other", queue=name, state="ready") == 1
    assert found.value("taskworks_schedule_enabled", schedule=label) == 1


def test_nonsense_in_rows_is_told_as_it_is(store: Store, flushed: Flushed) -> None:
    flushed(successful=2**63 - 1, wait_sum=1.7e308, waits="nonsense, 1:x")
    flushed(failed=-5, runs="1:2,1:2,x")
    new_worker(store, slots="nonsense", queues="nonsense", busy=3)
    found = metrics()
    assert found.value("taskworks_scrape_ok") == 1
    assert found.value("taskworks_run_seconds_bucket", task="a.b", le="+Inf") == 4


# There are never too many.


@pytest.mark.not_every_day
def test_a_queue_of_very_many_tasks_has_a_bounded_number_of_series(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_ROWS", 100)  # which is about charts
    histogram = str(Histogram.of([0.1, 3.0]))
    rows = [
        Statistic(
            id=uuid4(),
            seconds=EVER,
            since=0,
            backend="default",
            queue_name=f"queue {number % 2}",
            task_path=f"task {number}",
            successful=1,
            waits=histogram,
            runs=histogram,
        )
        for number in range(2000)
    ]
    Statistic.objects.bulk_create(rows, batch_size=500)
    found = metrics()
    assert len(found.of("taskworks_attempts_started_total")) == 2000
    assert len(found.samples) < 2000 * 10 + counted.MAX_HISTOGRAMS * 44 + 200
    of_queue = {"queue": "queue 1", "task": ALL}
    assert found.value("taskworks_run_seconds_count", **of_queue) == 2000
    assert found.value("taskworks_run_seconds_bucket", **of_queue, le="1.0") == 1000


@pytest.mark.any_database
def test_histograms_are_told_together_if_there_are_too_many(
    store: Store, flushed: Flushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        flushed(f"task {number}", queue_name=f"queue {number % 2}", took=[1.0])

    def told(most: int) -> dict[tuple[str, str], float]:
        monkeypatch.setattr(counted, "MAX_HISTOGRAMS", most)
        found = metrics().of("taskworks_run_seconds_count").items()
        return {(dict(has)["queue"], dict(has)["task"]): value for has, value in found}

    assert len(told(4)) == 4
    assert told(3) == {("queue 0", ALL): 2, ("queue 1", ALL): 2}
    assert told(1) == {(ALL, ALL): 4}


@pytest.mark.any_database
def test_the_label_of_tasks_can_be_left_out(
    store: Store, flushed: Flushed, settings: Settings
) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "METRICS_TASK_LABEL": False}
    for number in range(3):
        flushed(f"task {number}", successful=1, took=[1.0])
    found = metrics()
    [(labels, value)] = found.of("taskworks_attempts_started_total").items()
    assert labels == {("backend", "default"), ("queue", "mail")}
    assert value == 0
    assert found.value("taskworks_runs_finished_total", outcome="successful") == 3
    assert found.value("taskworks_run_seconds_count", queue="mail") == 3


@pytest.mark.any_database
def test_only_so_many_queues_are_shown_those_with_runs_first(
    store: Store, flushed: Flushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "MAX_QUEUES", 3)
    for number in range(6):
        flushed(queue_name=f"was {number}", successful=1)
    tasks.noop.using(backend="other", queue_name="is").enqueue()
    shown = {dict(labels)["queue"] for labels in metrics().of("taskworks_queue_paused")}
    assert shown == {"default", "mail", "imports", "is", "was 0", "was 1"} - {""}


def test_the_number_of_statements_does_not_depend_on_tasks_and_runs(
    store: Store, flushed: Flushed
) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert metrics().value("taskworks_scrape_ok") == 1
        counts = [query for query in queries if "SELECT executor, available_at" in query["sql"]]
        assert len(counts) == 1  # the rules of problems see what is ready without counting it again
        return len(queries)

    tasks.noop.enqueue()
    flushed(successful=1)
    scheduled(label="first")
    few = statements()
    for number in range(30):
        tasks.noop.enqueue()
        flushed(f"task {number}", successful=1)
        scheduled(label=f"schedule {number}")
        new_worker(store)
    assert statements() == few


@pytest.mark.any_database
def test_to_register_a_collector_costs_no_statement(store: Store) -> None:
    with CaptureQueriesContext(connection) as queries:
        names = {family.name for family in TaskworksCollector().describe()}
    assert not queries.captured_queries
    assert names >= {"taskworks_runs", "taskworks_runs_finished", "taskworks_wait_seconds"}


@pytest.mark.any_database
def test_without_statistics_what_was_counted_stays(
    store: Store, flushed: Flushed, settings: Settings
) -> None:
    flushed(successful=2)
    settings.TASKWORKS = {**settings.TASKWORKS, "STATISTICS": False}
    tasks.noop.enqueue()
    run_worker()
    found = metrics()
    assert found.value("taskworks_runs_finished_total", task="a.b", outcome="successful") == 2
    assert not [s for s in found.samples if s.labels.get("task") == "tests.tasks.noop"]
