"""The cost of the next claim in pages: no more of them in a long table."""

import os
from uuid import UUID

import pytest
from django.db import connection

from taskworks.models import TaskRun
from taskworks.store import Store
from tests.store.buffers import buffers
from tests.store.conftest import Enqueue
from tests.store.tidying import tidy

LONG = 1_000_000 if os.environ.get("TASKWORKS_TEST_THOROUGHLY") == "true" else 50_000
# Pages more, for ten rows that are claimed: each is found by its primary key and entered there
# anew, and that index is two levels deeper when there are two million.
A_FEW = 50


@pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL counts its pages.")
def test_a_claim_reads_no_more_pages_of_a_long_table(
    store: Store, worker: UUID, enqueue: Enqueue
) -> None:
    tidy(TaskRun)
    pages = [claimed_pages(store, worker, enqueue)]
    template = enqueue()
    for state in ("successful", "scheduled"):
        multiply(template, LONG, state)
    tidy(TaskRun)
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
