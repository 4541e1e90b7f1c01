"""The cost of the next claim does not depend on how much is ready, scheduled or finished."""

import os
import re
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from taskworks.models import TaskRun
from taskworks.retention import Rule
from taskworks.store import Store
from tests.store.buffers import buffers
from tests.store.conftest import Enqueue

ROWS = 5_000
LONG = 1_000_000 if os.environ.get("TASKWORKS_TEST_THOROUGHLY") == "true" else 50_000
# Pages more, for ten rows that are claimed: each is found by its primary key and entered there
# anew, and that index is two levels deeper when there are two million.
A_FEW = 50


@pytest.fixture
def large_table(store: Store) -> None:
    now = store.read_clock()
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
    with connection.cursor() as cursor:
        table = connection.ops.quote_name(TaskRun._meta.db_table)
        cursor.execute(f"ANALYZE {'TABLE ' if connection.vendor == 'mysql' else ''}{table}")
        cursor.fetchall() if connection.vendor == "mysql" else None


@pytest.mark.usefixtures("large_table")
@pytest.mark.parametrize("queues", [1, 3])
def test_a_claim_reads_the_index_of_what_is_ready(store: Store, worker: UUID, queues: int) -> None:
    names = [f"queue {number}" for number in range(queues)]
    for plan in plans(
        lambda: store.claim(worker, "default", names, {"thread": 10}), "rank", "LIMIT"
    ):
        assert "taskworks_run_ready" in plan
        assert_no_scan(plan)


@pytest.mark.usefixtures("large_table")
def test_finding_the_queues_probes_the_index_of_what_is_ready(store: Store) -> None:
    for plan in plans(lambda: store.ready_queues("default"), "queue_name"):
        if connection.vendor == "mysql":
            assert "optimized away" in plan or "No matching" in plan
        else:
            assert "taskworks_run_ready" in plan
            assert_no_scan(plan)


@pytest.mark.usefixtures("large_table")
def test_rescue_reads_the_index_of_what_is_in_hand(store: Store) -> None:
    for plan in plans(lambda: store.rescue(10), "LIMIT"):
        assert "taskworks_run_in_hand" in plan
        assert_no_scan(plan)


@pytest.mark.usefixtures("large_table")
def test_pruning_reads_the_index_of_what_has_finished(store: Store) -> None:
    rule = Rule("default", "failed", timedelta())
    for plan in plans(lambda: store.aged(rule, None, 10), "LIMIT"):
        assert "taskworks_run_finished" in plan
        assert_no_scan(plan)


@pytest.mark.usefixtures("large_table")
def test_promotion_reads_the_index_of_what_is_scheduled(store: Store) -> None:
    for plan in plans(lambda: store.promote(10), "available_at", "LIMIT"):
        assert "taskworks_run_scheduled" in plan
        assert_no_scan(plan)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL counts its pages.")
def test_a_claim_reads_no_more_pages_of_a_long_table(
    store: Store, worker: UUID, enqueue: Enqueue
) -> None:
    pages = [claimed_pages(store, worker, enqueue)]
    template = enqueue()
    for state in ("successful", "scheduled"):
        multiply(template, LONG, state)
    vacuum()
    pages.append(claimed_pages(store, worker, enqueue))
    assert pages[1] <= pages[0] + A_FEW, pages


def claimed_pages(store: Store, worker: UUID, enqueue: Enqueue) -> int:
    for _ in range(30):
        enqueue()
    return buffers(lambda: store.claim(worker, "default", ["default"], {"thread": 10}), "LIMIT")


def multiply(template: TaskRun, number: int, state: str) -> None:
    """So many rows more that are like this one, but in this state."""
    columns = [field.column for field in TaskRun._meta.concrete_fields]
    instead = {
        "id": "gen_random_uuid()",
        "state": f"'{state}'",
        "available_at": "available_at + interval '1 day' * (1 + random())",
        "finished_at": "available_at" if state == "successful" else "NULL",
    }
    values = ", ".join(instead.get(column, column) for column in columns)
    table = TaskRun._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} "
            f"FROM {table}, GENERATE_SERIES(1, %s) WHERE id = %s",
            [number, template.id],
        )


def vacuum() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {TaskRun._meta.db_table}")


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
