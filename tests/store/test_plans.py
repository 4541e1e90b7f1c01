"""The cost of the next claim does not depend on how much is ready, scheduled or finished."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoDbBlocker

from taskworks.models import BlockedRun, TaskRun, Worker
from taskworks.options.retention import Rule
from taskworks.store import Store
from taskworks.store import store as store_of
from tests.store.tidying import tidy

ROWS = 5_000


@pytest.fixture(autouse=True, scope="module")
def _database(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """One large table for all of them: each changes a few of its rows at most."""
    with django_db_blocker.unblock():
        _fill()
        yield
        for model in (BlockedRun, TaskRun, Worker):
            model.objects.all().delete()
            tidy(model)


def _fill() -> None:
    now = store_of().read_clock()
    states = ["ready", "ready", "scheduled", "successful", "failed"]
    TaskRun.objects.bulk_create(
        (
            TaskRun(
                backend="default",
                queue_name=f"queue {number % 3}",
                task_path="tests.tasks.noop",
                rank=number % 5,
                state=states[number % 5],
                enqueued_at=now,
                available_at=now + timedelta(days=states[number % 5] == "scheduled"),
                finished_at=now if number % 5 > 2 else None,
            )
            for number in range(ROWS)
        ),
        batch_size=2000,
    )
    tidy(TaskRun)


def test_what_is_blocked_is_looked_at_by_keys(store: Store) -> None:
    ids = list(TaskRun.objects.values_list("id", flat=True)[:2000])
    pairs = zip(ids[::2], ids[1::2], strict=True)
    BlockedRun.objects.bulk_create(BlockedRun(run=run, after=after) for run, after in pairs)
    tidy(BlockedRun)
    for plan in plans(lambda: store.blocked_since(ids[500], 100), "blockedrun"):
        assert_no_scan(plan)
    for plan in plans(lambda: store.followers(ids[:5]), "blockedrun"):
        assert_no_scan(plan)
        assert "after" in plan  # the index


@pytest.mark.parametrize("queues", [1, 3])
def test_a_claim_reads_the_index_of_what_is_ready(store: Store, worker: UUID, queues: int) -> None:
    names = [f"queue {number}" for number in range(queues)]
    for plan in plans(
        lambda: store.claim(worker, "default", names, {"thread": 10}), "rank", "LIMIT"
    ):
        assert "taskworks_run_ready" in plan
        assert_no_scan(plan)


@pytest.mark.django_db  # or there would be no database when this file alone is named
def test_finding_the_queues_probes_the_index_of_what_is_ready(store: Store) -> None:
    for plan in plans(lambda: store.ready_queues("default"), "queue_name"):
        if connection.vendor == "mysql":
            assert "optimized away" in plan or "No matching" in plan
        else:
            assert "taskworks_run_ready" in plan
            assert_no_scan(plan)


def test_rescue_reads_the_index_of_what_is_in_hand(store: Store) -> None:
    for plan in plans(lambda: store.rescue(10), "LIMIT"):
        assert "taskworks_run_in_hand" in plan
        assert_no_scan(plan)


def test_a_look_around_reads_indexes(store: Store, worker: UUID) -> None:
    for plan in plans(lambda: store.overview(timedelta(minutes=1), worker), "heartbeat_at"):
        assert "taskworks_run_in_hand" in plan
        assert_no_scan(plan)


@pytest.mark.skipif(connection.vendor != "mysql", reason="Others lock what they find.")
def test_who_locks_a_row_looks_at_no_index_but_its_key(store: Store) -> None:
    entry = {"exception_class_path": "builtins.OSError", "traceback": ""}
    failed, *others = TaskRun.objects.filter(state="failed").values_list("id", flat=True)[:3]
    ready = TaskRun.objects.ready().values_list("id", flat=True)[0]
    locking = [
        *plans(lambda: store.retry(failed), "UPDATE"),
        *plans(lambda: store.cancel(ready, entry), "UPDATE"),
        *plans(lambda: store.prune(Rule("default", "failed", timedelta()), others), "FOR UPDATE"),
    ]
    assert len(locking) == 4
    for plan in locking:
        assert "PRIMARY" in plan or "const tables" in plan  # which are found by their keys
        assert "taskworks_run_" not in plan  # not even as one that is possible


def test_pruning_reads_the_index_of_what_has_finished(store: Store) -> None:
    rule = Rule("default", "failed", timedelta())
    for plan in plans(lambda: store.aged(rule, None, 10), "LIMIT"):
        assert "taskworks_run_finished" in plan
        assert_no_scan(plan)


def test_promotion_reads_the_index_of_what_is_scheduled(store: Store) -> None:
    for plan in plans(lambda: store.promote(10), "available_at", "LIMIT"):
        assert "taskworks_run_scheduled" in plan
        assert_no_scan(plan)


def plans(do: Callable[[], object], *parts: str) -> list[str]:
    """The plans of the statements that have these parts in them."""
    with CaptureQueriesContext(connection) as captured:
        do()
    statements = [q["sql"] for q in captured if all(part in q["sql"] for part in parts)]
    assert statements
    return [plan(statement) for statement in statements]


def plan(statement: str) -> str:
    explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {statement}")
        return "\n".join(" ".join(map(str, row)) for row in cursor.fetchall())


def assert_no_scan(plan: str) -> None:
    for line in plan.splitlines():
        assert "Seq Scan on taskworks_taskrun" not in line  # PostgreSQL
        assert not re.search(r"SCAN taskworks_taskrun(?! USING)", line)  # SQLite
        assert not re.search(r"taskworks_taskrun (ALL|index) ", line)  # MySQL and MariaDB
        assert "filesort" not in line
