"""Every worker deletes what is too old, a chunk at a time."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError, connection

from taskworks.duties import housekeeping, prune
from taskworks.duties.housekeeping import Housekeeping
from taskworks.duties.prune import Chunk
from taskworks.framework import task_backends
from taskworks.models import TaskRun, UniqueKey
from taskworks.options.retention import Rule, retention_of
from taskworks.store import store
from taskworks.worker import Options, Queues, Worker
from tests import tasks
from tests.connections import begin_elsewhere
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)
RULE = Rule("default", "successful", 14 * DAY)
OF_WORKFLOWS = 3  # looks for those that are too old, one an outcome


def ended(days: float, count: int = 1, **fields: Any) -> None:
    """So many runs that ended so many days ago."""
    now = store().read_clock()
    moment = now - days * DAY
    TaskRun.objects.bulk_create(
        TaskRun(
            **{
                "backend": "default",
                "queue_name": "default",
                "task_path": "tests.tasks.noop",
                "state": "successful",
                "enqueued_at": moment,
                "available_at": moment,
                "finished_at": moment,
                **fields,
            }
        )
        for _ in range(count)
    )


class Restless(Housekeeping):
    """Notes how long it would have rested."""

    def __init__(self) -> None:
        super().__init__(store(), retention_of(task_backends["default"]))
        self.rests: list[float] = []

    def rest(self, seconds: float) -> bool:
        self.rests.append(seconds)
        return True


def sweep(housekeeping: Restless) -> list[float]:
    """Sweep, and say the rests between chunks."""
    housekeeping.rests.clear()
    housekeeping.sweep()
    return housekeeping.rests


def test_a_worker_deletes_what_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "SWEEP_INTERVAL", 0.05)
    ended(15, 3)
    ended(13)
    UniqueKey.objects.create(key=uuid4(), run=uuid4(), request="of a run that is gone")
    worker = Worker(task_backends["default"], Options(queues=Queues()))
    done = begin_elsewhere(worker.run)
    try:
        wait_for(lambda: TaskRun.objects.count() == 1, "the old runs are gone")
        wait_for(lambda: not UniqueKey.objects.exists(), "the key is gone")
        ended(15)
        wait_for(lambda: TaskRun.objects.count() == 1, "the next old run is gone")
        result = tasks.noop.enqueue()
        wait_for(lambda: TaskRun.objects.get(id=result.id).state == "successful", "it works")
    finally:
        worker.stop()
        done.result(timeout=60)


def test_it_takes_chunks_with_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "MAX_CHUNK", 10)
    ended(15, 25)
    rests = sweep(Restless())
    assert len(rests) == 5 + OF_WORKFLOWS  # three chunks, and a look for each other outcome
    assert all(rest > 0 for rest in rests)
    assert not TaskRun.objects.exists()


def test_what_is_kept_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "MAX_CHUNK", 10)
    ended(20, 25, backend="other")
    housekeeping = Restless()
    assert len(sweep(housekeeping)) == 5 + OF_WORKFLOWS
    ended(15)
    assert len(sweep(housekeeping)) == 3 + OF_WORKFLOWS
    assert TaskRun.objects.count() == 25


def test_after_an_hour_it_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    housekeeping = Restless()
    ended(15)
    sweep(housekeeping)
    ended(20)
    sweep(housekeeping)
    assert TaskRun.objects.count() == 1
    monkeypatch.setattr(housekeeping._sweep, "_looks_back_at", 0.0)
    sweep(housekeeping)
    assert not TaskRun.objects.exists()


def test_nothing_to_do_costs_two_queries_an_outcome(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(3 + OF_WORKFLOWS):
        sweep(Restless())


def test_who_is_to_stop_takes_no_more_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "MAX_CHUNK", 10)
    ended(15, 15)
    housekeeping = Restless()
    monkeypatch.setattr(housekeeping, "rest", lambda seconds: housekeeping.stop())
    housekeeping.sweep()
    assert TaskRun.objects.count() == 5


class TestAChunk:
    def test_shrinks_to_ten_and_grows_to_a_thousand(self, monkeypatch: pytest.MonkeyPatch) -> None:
        chunk = Chunk()
        sizes = [chunk.size]
        monkeypatch.setattr(prune, "SLOW_STATEMENT", 0.0)
        for _ in range(3):
            with chunk.measured() as size:
                sizes.append(size)
        assert (sizes, chunk.size) == ([1000, 1000, 100, 10], 10)
        monkeypatch.setattr(prune, "SLOW_STATEMENT", 1000.0)
        for _ in range(7):
            with chunk.measured():
                pass
        assert chunk.size == 1000

    def test_that_is_small_from_the_start_does_not_grow_by_being_slow(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(prune, "SLOW_STATEMENT", 0.0)
        chunk = Chunk(2)
        with chunk.measured():
            pass
        assert chunk.size == 2


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no limit to a statement.")
class TestAStatementThatTakesTooLong:
    """The database has a second for a statement, and ten minutes to do with more than 50 rows."""

    @pytest.fixture(autouse=True)
    def _slow_database(self) -> Iterator[None]:
        slow, fast = SLOW_DELETES[connection.vendor]
        try:
            with connection.cursor() as cursor:
                for statement in slow:
                    cursor.execute(statement)
            yield
        finally:
            with connection.cursor() as cursor:
                for statement in fast:
                    cursor.execute(statement)

    def test_makes_the_chunk_smaller_until_it_goes_through(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        ended(15, 150)
        housekeeper = Restless()
        with caplog.at_level(logging.WARNING):
            for _ in range(2):
                housekeeper.sweep()
        assert [record.args[0] for record in caplog.records] == [100, 10]  # type: ignore[index]
        assert TaskRun.objects.count() == 150
        while TaskRun.objects.exists():
            before = TaskRun.objects.count()
            housekeeper.sweep()
            assert TaskRun.objects.count() < before

    def test_does_not_stop_the_command(self) -> None:
        ended(15, 60)
        assert prune.prune(store(), [RULE]) == 60

    def test_is_an_error_of_the_command_if_no_chunk_is_small_enough(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(prune, "MIN_CHUNK", 100)
        ended(15, 150)
        with pytest.raises(OperationalError):
            prune.prune(store(), [RULE])


TABLE = TaskRun._meta.db_table
SLOW_DELETES = {
    "postgresql": (
        [
            "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF (SELECT COUNT(*) FROM deleted) > 50 THEN PERFORM pg_sleep(600); END IF; "
            "RETURN NULL; END $$",
            f"CREATE TRIGGER slowly AFTER DELETE ON {TABLE} REFERENCING OLD TABLE AS deleted "
            "FOR EACH STATEMENT EXECUTE FUNCTION slowly()",
            "SET statement_timeout = 1000",
        ],
        [
            "RESET statement_timeout",
            f"DROP TRIGGER slowly ON {TABLE}",
            "DROP FUNCTION slowly()",
        ],
    ),
    "mysql": (
        [
            # NOW is the moment at which the statement began.
            f"CREATE TRIGGER slowly BEFORE DELETE ON {TABLE} FOR EACH ROW BEGIN "
            "SET @deleted = IF(NOW(6) <=> @statement, @deleted + 1, 1), @statement = NOW(6); "
            "IF @deleted > 50 THEN DO SLEEP(600); END IF; END",
            "SET SESSION max_statement_time = 1",
        ],
        ["SET SESSION max_statement_time = 0", "DROP TRIGGER slowly"],
    ),
}
