from datetime import timedelta
from threading import Thread
from uuid import uuid4

import pytest
from django.db import connection, connections
from django.db.models import Q

from taskworks.database import composed
from taskworks.database.clock import DatabaseClock
from taskworks.database.composed import fetch
from taskworks.models import TaskRun
from taskworks.store import store
from tests.new_runs import new_runs
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def by_ids(ids, queue=None):
    rows = TaskRun.objects.filter(id__in=ids).order_by("id")
    return (rows.filter(queue_name=queue) if queue else rows).values_list("id", "queue_name")


def attempted_more_often(attempts, id_):
    return TaskRun.objects.filter(attempts__gt=attempts, id=id_).values_list("attempts")


def of_queue(name, ids):
    return TaskRun.objects.filter(queue_name=name, id__in=ids).values_list("id", "queue_name")


def due(id_):
    is_due = Q(available_at__lte=DatabaseClock())
    return TaskRun.objects.filter(is_due, id=id_).values_list("id", "available_at")


def of_another(id_):
    return TaskRun.objects.filter(id=uuid4()).values_list("id")


def enqueued(count=1, **columns):
    new = new_runs(count, **columns)
    store().enqueue(new)
    return sorted(new.uuids)


def test_the_rows_are_those_of_the_query_however_many_values_there_are():
    ids = enqueued(9)

    for number in (1, 2, 3, 5, 9, 4):
        assert fetch(connection, by_ids, ids[:number]) == list(by_ids(ids[:number]))


def test_none_of_several_values_asks_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert fetch(connection, by_ids, []) == []


def test_each_value_stands_in_its_own_place():
    [first, second] = enqueued(2)
    TaskRun.objects.filter(id=first).update(attempts=3)

    assert fetch(connection, attempted_more_often, 2, first) == [(3,)]
    assert fetch(connection, attempted_more_often, 3, first) == []
    assert fetch(connection, attempted_more_often, 2, second) == []


@pytest.mark.parametrize("name", ["default", "q%s", "', \"é", "a" * 128, ""])
def test_a_text_is_one_value(name):
    ids = enqueued(queue_name=name)
    enqueued(queue_name="another")
    assert fetch(connection, of_queue, name, ids) == [(ids[0], name)]
    assert fetch(connection, of_queue, "not there", ids) == []


def test_what_is_fixed_makes_another_query():
    ids = enqueued(queue_name="mail")

    assert fetch(connection, by_ids, ids, fixed=["mail"]) == [(ids[0], "mail")]
    assert fetch(connection, by_ids, ids, fixed=["reports"]) == []


def test_a_query_is_composed_once_for_each_length():
    lengths = []

    def counted(ids):
        lengths.append(len(ids))
        return by_ids(ids)

    for number in (3, 4, 3, 4, 5, 8, 512, 513, 999, 1000):
        fetch(connection, counted, [uuid4() for _ in range(number)])

    assert lengths == [4, 8, 512, 999, 1024]


def test_it_asks_the_clock_each_time():
    [id_] = enqueued(run_after=timedelta(seconds=0.3))
    assert fetch(connection, due, id_) == []

    wait_for(lambda: fetch(connection, due, id_), "the run is due")

    assert fetch(connection, due, id_) == list(due(id_))


@pytest.mark.parametrize("is_python_s", [False, True])
def test_it_heeds_a_clock_that_a_test_moves(is_python_s, monkeypatch):
    monkeypatch.setattr(DatabaseClock, "is_python_s", is_python_s)
    [id_] = enqueued(run_after=timedelta(hours=1))
    assert fetch(connection, due, id_) == []

    monkeypatch.setattr(DatabaseClock, "moved", timedelta(hours=2))

    assert fetch(connection, due, id_) == list(due(id_)) != []


@pytest.mark.parametrize("of_thread", [lambda: connection, lambda: connections["default"]])
def test_each_connection_has_its_own(of_thread):
    ids, found, kept = enqueued(3), [], []

    def look():
        found.append(fetch(of_thread(), by_ids, ids))
        kept.append(connections["default"].__dict__[composed.KEPT_AS])
        connections.close_all()

    threads = [Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [list(by_ids(ids))] * 2
    assert [len(one) for one in kept] == [1, 1]
    assert kept[0] is not kept[1]


def test_not_more_are_kept_than_a_process_needs(monkeypatch):
    monkeypatch.setattr(composed, "MAX_KEPT", 3)

    for number in range(5):
        fetch(connection, by_ids, [uuid4()], fixed=[f"queue {number}"])

    assert len(connections["default"].__dict__[composed.KEPT_AS]) <= 3


def test_a_value_that_the_query_does_not_contain_is_a_mistake():
    with pytest.raises(AssertionError, match="of_another does not pass on 1 values"):
        fetch(connection, of_another, uuid4())
