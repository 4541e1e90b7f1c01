"""Which commits on PostgreSQL wait until they are on disk, and which need not."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection, transaction

from taskworks.models import Limit, TaskRun
from taskworks.store import Store
from taskworks.store.limiting import Line
from tests.new_runs import new_runs
from tests.settings import DATABASE
from tests.store.conftest import Enqueue

pytestmark = pytest.mark.skipif(
    DATABASE != "postgresql", reason="a commit elsewhere cannot choose not to wait"
)

TABLE = connection.ops.quote_name(TaskRun._meta.db_table)

Seen = Callable[[], list[str]]


@pytest.fixture
def seen(store: Store) -> Iterator[Seen]:
    """What updates of runs had as synchronous_commit at the end of their statements."""
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = on")
        cursor.execute("CREATE TABLE seen (setting text)")
        cursor.execute(
            """CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO seen VALUES (CURRENT_SETTING('synchronous_commit'));
                RETURN NULL;
            END $$"""
        )
        cursor.execute(
            f"CREATE TRIGGER see AFTER UPDATE ON {TABLE} FOR EACH STATEMENT EXECUTE FUNCTION see()"
        )
    yield lambda: [setting for (setting,) in store._fetch("DELETE FROM seen RETURNING setting", [])]
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER see ON {TABLE}")
        cursor.execute("DROP FUNCTION see")
        cursor.execute("DROP TABLE seen")
    connection.close()


def claim(store: Store, worker: UUID) -> list[TaskRun]:
    return store.claim(worker, "default", ["default"], {"thread": 10})


def test_a_claim_does_not_wait_for_the_disk(
    store: Store, enqueue: Enqueue, worker: UUID, seen: Seen
) -> None:
    enqueue()
    assert len(claim(store, worker)) == 1
    assert seen() == ["off"]
    assert store._fetch("SHOW synchronous_commit", []) == [("on",)]


def test_a_claim_that_takes_slots_of_a_limit_waits(store: Store, worker: UUID, seen: Seen) -> None:
    Limit.objects.create(name="few", declared={"at_once": 1}, at_once=1)
    store.enqueue(new_runs(lanes=["a"], limit_name="few"))
    line = Line("few", "default", ("default",), "thread")
    assert len(store.claim_limited(worker, line, 1).runs) == 1
    assert {*seen()} == {"on"}


def test_starts_and_outcomes_wait(store: Store, enqueue: Enqueue, worker: UUID, seen: Seen) -> None:
    enqueue()
    [run] = claim(store, worker)
    seen()
    run.started_at = run.claimed_at
    assert store.start([run])
    run.state, run.finished_at = "successful", run.claimed_at + timedelta(seconds=1)
    assert store.finish([run])
    assert seen() == ["on", "on"]


def test_a_transaction_of_the_caller_waits(
    store: Store, enqueue: Enqueue, worker: UUID, seen: Seen
) -> None:
    enqueue()
    with transaction.atomic():
        assert len(claim(store, worker)) == 1
    assert seen() == ["on"]
