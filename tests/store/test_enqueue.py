"""What enqueue and promote write."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from taskworks.models import TaskRun
from taskworks.models.run import new_run_id
from taskworks.store import Store
from tests.connections import elsewhere
from tests.new_runs import new_runs, stored
from tests.store.conftest import Enqueue

HOUR = timedelta(hours=1)


def test_a_run_is_ready_and_has_the_times_of_the_database(store: Store, enqueue: Enqueue) -> None:
    before = store.read_clock()
    new = new_runs()
    store.enqueue(new)
    run = stored(new)
    assert run.state == "ready"
    assert before <= run.enqueued_at == run.available_at <= store.read_clock()
    assert (run.enqueued_at, run.args, run.kwargs) == (new.enqueued_at, [], {})


def test_one_insert_enqueues_a_run(enqueue: Enqueue) -> None:
    with CaptureQueriesContext(connection) as queries:
        enqueue()
    assert [q["sql"].lstrip()[:6] for q in queries if "INSERT" in q["sql"]] == ["INSERT"]


def test_many_runs_are_a_few_inserts(store: Store) -> None:
    with CaptureQueriesContext(connection) as queries:
        store.enqueue(new_runs(50))
    assert 1 <= len([q for q in queries if "INSERT" in q["sql"]]) < 5
    assert TaskRun.objects.ready().count() == 50


def test_a_run_exists_only_if_its_transaction_commits(enqueue: Enqueue) -> None:
    with transaction.atomic():
        enqueue()
        assert elsewhere(TaskRun.objects.count) == 0
    assert elsewhere(TaskRun.objects.count) == 1
    try:
        with transaction.atomic():
            enqueue()
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert TaskRun.objects.count() == 1


def test_a_run_that_is_ahead_is_scheduled_until_it_is_due(store: Store, enqueue: Enqueue) -> None:
    later = timezone.now() + HOUR
    run = enqueue(run_after=later)
    assert (run.state, run.available_at) == ("scheduled", later)
    assert store.promote(10) == 0
    TaskRun.objects.update(available_at=store.read_clock() - HOUR)
    assert store.promote(10) == 1
    run.refresh_from_db()
    assert run.state == "ready"
    assert run.run_after == later
    # It queues up behind what is ready, not where it would have been an hour ago.
    assert run.available_at > store.read_clock() - HOUR / 2


def test_a_run_whose_time_has_passed_is_ready_at_once(enqueue: Enqueue) -> None:
    run = enqueue(run_after=timezone.now() - HOUR)
    assert run.state == "ready"
    assert run.available_at == run.enqueued_at


def test_a_delay_counts_from_the_databases_now(store: Store, enqueue: Enqueue) -> None:
    run = enqueue(run_after=HOUR)
    assert run.state == "scheduled"
    assert run.run_after == run.enqueued_at + HOUR


def test_promotion_takes_the_earliest_first_and_no_more_than_asked(
    store: Store, enqueue: Enqueue
) -> None:
    runs = [enqueue(run_after=HOUR) for _ in range(3)]
    now = store.read_clock()
    for hours, run in zip((3, 1, 2), runs, strict=True):
        TaskRun.objects.filter(id=run.id).update(available_at=now - hours * HOUR)
    assert store.promote(2) == 2
    assert TaskRun.objects.scheduled().get().id == runs[1].id


def test_ids_are_time_ordered_uuids() -> None:
    ids = [new_run_id() for _ in range(2000)]
    assert len(set(ids)) == 2000
    assert all(id_.version == 7 for id_ in ids)
    milliseconds = [id_.int >> 80 for id_ in ids]
    assert milliseconds == sorted(milliseconds)


def test_a_transaction_that_the_caller_ends_is_written_to_disk_like_any_other(
    store: Store, enqueue: Enqueue
) -> None:
    if store.connection.vendor != "postgresql":
        pytest.skip("Only PostgreSQL is told to hurry with a notice.")
    transaction.set_autocommit(False, using=store.alias)
    try:
        with store.connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = on")
        enqueue()
        [(setting,)] = store._fetch("SHOW synchronous_commit", [])
        assert setting == "on"
    finally:
        transaction.rollback(using=store.alias)
        transaction.set_autocommit(True, using=store.alias)
