"""A key that starts one run goes when its run is gone, and only then."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from taskworks.duties import tidy
from taskworks.models import TaskRun, UniqueKey
from taskworks.store import Store
from taskworks.store.enqueueing import Once
from taskworks.store.pruning import Pruning
from tests.connections import elsewhere, held_elsewhere
from tests.new_runs import new_runs, stored
from tests.plans import assert_no_scan, plans

Started = Callable[..., TaskRun]


@pytest.fixture
def started(store: Store) -> Started:
    """Start a run by a key, or the one that this has started."""

    def started(key: UUID | None = None, by: Store = store) -> TaskRun:
        new = new_runs()
        return by.enqueue_once(new, Once(key or uuid4(), "a request")) or stored(new, by)

    return started


def lose(*runs: TaskRun) -> None:
    """As somebody does who deletes runs by hand."""
    TaskRun.objects.filter(id__in=[run.id for run in runs]).delete()


def kept() -> set[UUID]:
    """The runs that have keys."""
    return {*UniqueKey.objects.values_list("run", flat=True)}


@pytest.mark.parametrize("lost", [0, 1, 4, 5])
def test_keys_go_whose_runs_are_gone(
    store: Store, started: Started, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    monkeypatch.setattr(tidy, "CHUNK", 2)
    runs = [started() for _ in range(5)]
    lose(*runs[:lost])
    tidy.tidy(store)
    assert kept() == {run.id for run in runs[lost:]}


def test_they_are_looked_at_in_chunks(store: Store, started: Started) -> None:
    runs = [started() for _ in range(5)]
    keys = [*UniqueKey.objects.order_by("key").values_list("key", flat=True)]
    assert store.forget_keys(None, 2) == keys[1]
    assert store.forget_keys(keys[1], 2) == keys[3]
    assert store.forget_keys(keys[3], 2) is None
    assert kept() == {run.id for run in runs}


def test_where_there_are_no_keys_it_is_one_statement(store: Store) -> None:
    with CaptureQueriesContext(connection) as asked:
        assert store.forget_keys(None, 10) is None
    assert len(asked) == 1


def test_a_key_whose_run_is_just_being_written_stays(store: Store, started: Started) -> None:
    with held_elsewhere(started) as run:
        store.forget_keys(None, 10)
    assert kept() == {run.id}


def test_a_key_that_another_run_has_taken_meanwhile_stays(
    store: Store, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = uuid4()
    lose(started(key))
    taken: list[TaskRun] = []
    delete = Pruning._delete_free_keys

    def delete_after_another_has_taken_it(store: Pruning, keys: Any) -> None:
        taken.append(elsewhere(lambda: started(key)))
        delete(store, keys)

    monkeypatch.setattr(Pruning, "_delete_free_keys", delete_after_another_has_taken_it)
    store.forget_keys(None, 10)
    assert kept() == {taken[0].id}


def test_of_two_that_find_the_run_gone_one_takes_the_key(
    store: Store, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = uuid4()
    lose(started(key))
    first: list[TaskRun] = []
    after_the_look(monkeypatch, lambda: first.append(started(key)))
    second = started(key)
    assert second.id == first[0].id
    assert TaskRun.objects.count() == 1


def after_the_look(monkeypatch: pytest.MonkeyPatch, do: Callable[[], None]) -> None:
    """The first time that a key is to be deleted, do something in another connection before."""
    delete = type(UniqueKey.objects.all()).delete
    ahead = [do]

    def deleted(rows: Any) -> Any:
        if rows.model is UniqueKey and ahead:
            elsewhere(ahead.pop())
        return delete(rows)

    monkeypatch.setattr("django.db.models.query.QuerySet.delete", deleted)


def test_looking_reads_no_more_than_a_chunk(store: Store) -> None:
    UniqueKey.objects.bulk_create(
        UniqueKey(key=uuid4(), run=uuid4(), request="a request") for _ in range(3000)
    )
    with connection.cursor() as cursor:
        table = connection.ops.quote_name(UniqueKey._meta.db_table)
        cursor.execute(f"ANALYZE {'TABLE ' if connection.vendor == 'mysql' else ''}{table}")
        cursor.fetchall() if connection.vendor == "mysql" else None
    middle = UniqueKey.objects.order_by("key").values_list("key", flat=True)[1500]
    expected = {"postgresql": "uniquekey_pkey", "mysql": "range PRIMARY", "sqlite": "SEARCH"}
    to_read, to_lock = plans(lambda: store.forget_keys(middle, 100), "ORDER BY")
    assert expected[connection.vendor] in to_read
    assert_no_scan(to_read)
    assert_no_scan(to_lock)
