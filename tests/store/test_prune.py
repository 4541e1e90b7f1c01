"""Old runs are deleted while others retry, delete and claim."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection

from taskworks.models import Firing, TaskRun
from taskworks.options.retention import Rule
from taskworks.store import Store
from tests.connections import begin_elsewhere, elsewhere, held_elsewhere
from tests.schedules.firing import scheduled
from tests.store.conftest import Enqueue

RULE = Rule("default", "failed", timedelta(days=30))
OLD = timedelta(days=31)
without_sqlite = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="On SQLite one writes, and the others wait."
)


@pytest.fixture
def failed(store: Store, enqueue: Enqueue) -> TaskRun:
    run = enqueue()
    fail(store, run)
    return run


def fail(store: Store, run: TaskRun, ago: timedelta = OLD) -> None:
    TaskRun.objects.filter(id=run.id).update(
        state="failed", finished_at=store.read_clock() - ago, errors=[{"exception": "of old"}]
    )


def is_there(run: TaskRun) -> bool:
    return TaskRun.objects.filter(id=run.id).exists()


def test_a_run_that_is_retried_after_it_was_found_stays(store: Store, failed: TaskRun) -> None:
    [aged] = store.aged(RULE, None, 10)
    assert elsewhere(lambda: store.retry(failed.id))
    assert store.prune(RULE, [aged.id]) == 0
    assert is_there(failed)


def test_a_run_that_was_retried_and_has_failed_anew_stays(store: Store, failed: TaskRun) -> None:
    [aged] = store.aged(RULE, None, 10)
    elsewhere(lambda: store.retry(failed.id))
    fail(store, failed, ago=timedelta())
    assert store.prune(RULE, [aged.id]) == 0
    assert is_there(failed)


@without_sqlite
def test_a_run_that_is_just_being_retried_is_not_waited_for(
    store: Store, enqueue: Enqueue, failed: TaskRun
) -> None:
    other = enqueue()
    fail(store, other)
    with held_elsewhere(lambda: store.retry(failed.id)) as is_retried:
        assert is_retried
        ids = [aged.id for aged in store.aged(RULE, None, 10)]
        assert set(ids) == {failed.id, other.id}
        assert store.prune(RULE, ids) == 1
    assert is_there(failed)
    assert TaskRun.objects.get().state == "ready"


@without_sqlite
def test_a_run_that_is_just_being_deleted_is_not_there_to_retry(
    store: Store, failed: TaskRun
) -> None:
    with held_elsewhere(lambda: store.prune(RULE, [failed.id])) as pruned:
        assert pruned == 1
        retried = begin_elsewhere(lambda: store.retry(failed.id))
    assert retried.result(timeout=30) is False
    assert not is_there(failed)


@without_sqlite
def test_two_who_delete_do_not_wait_for_each_other(store: Store, enqueue: Enqueue) -> None:
    runs = [enqueue() for _ in range(3)]
    for run in runs:
        fail(store, run)
    ids = [run.id for run in runs]
    with held_elsewhere(lambda: store.prune(RULE, ids[:2])):
        assert store.prune(RULE, ids) == 1
    assert not TaskRun.objects.exists()


@without_sqlite
def test_what_others_are_inserting_is_not_waited_for(
    store: Store, enqueue: Enqueue, limited_wait: None
) -> None:
    """In small tables, which a database may prefer to read in full."""
    runs = [enqueue() for _ in range(4)]
    for run in runs:
        fail(store, run)
    schedule, now = scheduled(), store.read_clock()
    for hours in range(4):
        old = now - OLD - timedelta(hours=hours)
        Firing.objects.create(schedule=schedule, planned_at=old, fired_at=old, run=uuid4())

    def insert() -> None:
        enqueue()
        Firing.objects.create(schedule=schedule, planned_at=now, fired_at=now, run=runs[0].id)

    with held_elsewhere(insert):
        assert store.prune(RULE, [run.id for run in runs]) == 4
        store.forget_firings(0, timedelta(days=1), 10)
        assert not Firing.objects.exists()
    assert TaskRun.objects.count() == 1


@pytest.fixture
def limited_wait() -> Iterator[None]:
    """Who would wait for another transaction fails after a second."""
    limits = {
        "mysql": "SET SESSION innodb_lock_wait_timeout = 1",
        "postgresql": "SET lock_timeout = 1000",
    }
    with connection.cursor() as cursor:
        cursor.execute(limits[connection.vendor])
    yield
    connection.close()


def test_the_aged_come_in_order_and_from_where_one_was(store: Store, enqueue: Enqueue) -> None:
    runs = [enqueue() for _ in range(4)]
    moment = store.read_clock() - OLD
    for run, days in zip(runs, [3, 0, 0, 1], strict=True):
        fail(store, run)
        TaskRun.objects.filter(id=run.id).update(finished_at=moment - timedelta(days=days))
    first = store.aged(RULE, None, 3)
    rest = store.aged(RULE, first[-1], 3)
    assert [aged.id for aged in first[:2]] == [runs[0].id, runs[3].id]
    assert {aged.id for aged in [first[2], *rest]} == {runs[1].id, runs[2].id}
    assert store.aged(RULE, rest[-1], 3) == []
