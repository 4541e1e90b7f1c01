"""Counts that people see: they are right, and their cost has a bound."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from taskworks.models import RunState, TaskRun
from taskworks.store import Store, census
from taskworks.store import store as store_of
from taskworks.store.surveying import QueueState

pytestmark = pytest.mark.django_db
LIMITED = {"limit_name": "imports", "lane": "acme"}


@pytest.fixture
def store() -> Store:
    return store_of()


def fill(number: int, **columns: Any) -> None:
    """So many runs; of each, ``ago`` is since when it is ready, or has finished."""
    now = store_of().read_clock()
    ago = timedelta(seconds=columns.pop("ago", 0.0))
    given = {"backend": "default", "queue_name": "mail", "task_path": "tests.tasks.noop", **columns}
    if given.get("state") in ("successful", "failed", "cancelled"):
        given["finished_at"] = now - ago
    TaskRun.objects.bulk_create(
        TaskRun(enqueued_at=now, available_at=now - ago, **given) for _ in range(number)
    )


def test_nothing_waits(store: Store) -> None:
    assert store.survey() == []
    assert census.tallies(store, [], timedelta(days=1)) == []
    assert census.longest_wait([]) is None


def test_of_each_queue_all_that_is_ready(store: Store) -> None:
    fill(3, ago=50)
    fill(2, ago=700, rank=5, executor="async")
    fill(4, ago=20, **LIMITED)
    fill(1, queue_name="other", ago=900, **LIMITED)
    fill(1, queue_name='it\'s "odd"\n', backend="second")
    fill(9, state="scheduled")
    first, second, third = store.survey()
    assert first[:4] == ("default", "mail", 9, False)
    assert timedelta(seconds=700) <= first.waited < timedelta(seconds=760)
    assert first.executors == {"thread", "async"}
    assert second[:4] == ("default", "other", 1, False)
    assert timedelta(seconds=900) <= second.waited < timedelta(seconds=960)
    assert third[:4] == ("second", 'it\'s "odd"\n', 1, False)


def test_the_oldest_of_many_deep_queues_are_found_together(store: Store) -> None:
    for number in range(30):
        fill(4, queue_name=f"queue {number:02}", ago=number)
    fill(1, queue_name="queue 07", ago=500, rank=3, executor="process")
    with CaptureQueriesContext(connection) as captured:
        states = store.survey(cap=2)
    assert len(states) == 30
    assert all(state.is_capped for state in states)
    assert states[29].waited >= timedelta(seconds=29)
    assert states[7].waited >= timedelta(seconds=500)
    if connection.vendor != "mysql":  # which looks into each lane by itself
        # For the first ranks, for those after them, and for whether there are more.
        assert sum("line.lowest" in query["sql"] for query in captured) <= 3


def test_no_statement_has_more_variables_than_each_sqlite_takes(store: Store) -> None:
    now = store.read_clock()
    TaskRun.objects.bulk_create(
        TaskRun(
            backend="default",
            queue_name=f"queue {number % 100:03}",
            task_path="tests.tasks.noop",
            enqueued_at=now,
            available_at=now,
        )
        for number in range(200)
    )
    numbers: list[int] = []

    def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        numbers.append(len(params or ()))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(count):
        states = store.survey(cap=1)
    assert len(states) == 100
    assert all(state.is_capped for state in states)
    assert max(numbers) <= 999


def test_the_oldest_is_found_behind_more_than_are_counted(store: Store) -> None:
    fill(20)
    fill(2, ago=500, rank=7)
    fill(2, ago=300, executor="process")
    fill(8, queue_name="limited", **LIMITED)
    mail, limited = sorted(store.survey(cap=5), key=lambda queue: -queue.waited)
    assert mail[:4] == ("default", "mail", 5, True)
    assert timedelta(seconds=500) <= mail.waited < timedelta(seconds=560)
    assert mail.executors == {"thread", "process"}
    assert (limited.ready, limited.is_capped) == (5, True)
    assert mail.ready_in_words == "5 or more"


def test_many_queues_take_few_statements_and_share_what_is_counted(store: Store) -> None:
    now = store.read_clock()
    TaskRun.objects.bulk_create(
        TaskRun(
            backend="default",
            queue_name=f"queue {number % 250:03}",
            task_path="tests.tasks.noop",
            enqueued_at=now,
            available_at=now,
        )
        for number in range(1000)
    )
    with CaptureQueriesContext(connection) as captured:
        states = store.survey(cap=3, queues=200)
    assert len(states) == 200
    assert {(state.ready, state.is_capped) for state in states} == {(3, True)}
    by_name = 200 if connection.vendor == "mysql" else 0  # of each, which costs a probe
    counts = [query["sql"] for query in captured if "COUNT(*)" in query["sql"]]
    assert len(counts) == 2
    capped = 200 * 4 * 2 + 200 * 4  # of queues that have more than are counted
    assert len(captured) <= 10 + by_name + capped
    with CaptureQueriesContext(connection) as captured:
        assert len(store.survey()) == 250
    assert len(captured) <= 12 + (260 if connection.vendor == "mysql" else 0)
    assert {state.ready for state in store.survey(in_all=500)} == {2}


def test_every_state_is_counted_by_queue(store: Store) -> None:
    for place, state in enumerate(RunState.values, 1):
        fill(place, state=state)
    fill(2, state="failed", queue_name="other")
    fill(5, state="successful", ago=90_000)
    counted = census.tallies(store, store.survey(), timedelta(days=1))
    assert {(one.queue_name, one.state): one.number for one in counted} == {
        ("other", "failed"): 2,
        **{("mail", state): place for place, state in enumerate(RunState.values, 1)},
    }
    assert not any(one.is_capped for one in counted)


def test_states_are_not_counted_to_the_end(store: Store) -> None:
    fill(8, state="scheduled")
    fill(8, state="successful")
    assert store.count_by_queue(RunState.SCHEDULED, cap=5)[0].is_capped
    yesterday = store.read_clock() - timedelta(days=1)
    [finished] = store.count_finished(RunState.SUCCESSFUL, yesterday, cap=5)
    assert finished.is_capped
    [running] = store.count_finished(RunState.SUCCESSFUL, yesterday, cap=8)
    assert (running.number, running.is_capped) == (8, False)


def test_states_of_queues_add_up() -> None:
    one = QueueState("default", "mail", 3, False, timedelta(seconds=2), frozenset({"thread"}))
    more = QueueState("default", "mail", 4, True, timedelta(seconds=1), frozenset({"async"}))
    both = one._plus(more)
    assert both[:5] == ("default", "mail", 7, True, timedelta(seconds=2))
    assert both.executors == {"thread", "async"}
