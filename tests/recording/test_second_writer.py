"""A worker that has much to record claims and executes while a second connection writes that."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from taskworks import Limit, task
from taskworks.models import TaskRun
from taskworks.recording import second_writer
from taskworks.recording.ledger import MAX_WAITING_MEANWHILE
from taskworks.recording.second_writer import MIN_BATCH, SecondWriter
from taskworks.store import store
from taskworks.worker.pools.pool import MAX_AHEAD
from tests import tasks
from tests.connections import elsewhere, held_elsewhere
from tests.stopping.runs import working
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time"),
]

THREAD = "taskworks-second-writer"
MANY, MORE = 400, 1_000  # more than it may hold
executed: Counter[int] = Counter()


@task
def count(number: int) -> int:
    executed[number] += 1
    return number


class Gate:
    """Where the second writer waits, and what it has written; others pass."""

    def __init__(self) -> None:
        self.reached, self.opened = Event(), Event()
        self.ids: list[UUID] = []

    def wait(self, runs: Sequence[TaskRun]) -> None:
        if threading.current_thread().name == THREAD and not self.opened.is_set():
            self.ids = [run.id for run in runs]
            self.reached.set()
            self.opened.wait(60)


@pytest.fixture
def gate_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """One before its statement."""
    gate, finish = Gate(), type(store()).finish

    def gated(self: Any, runs: Sequence[TaskRun], *columns: Any) -> set[UUID]:
        gate.wait(runs)
        return finish(self, runs, *columns)

    monkeypatch.setattr(type(store()), "finish", gated)
    yield gate
    gate.opened.set()


@pytest.fixture
def gate_after(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """One between its commit and the worker's knowing."""
    gate, finish = Gate(), type(store()).finish

    def gated(self: Any, runs: Sequence[TaskRun], *columns: Any) -> set[UUID]:
        written = finish(self, runs, *columns)
        gate.wait(runs)
        return written

    monkeypatch.setattr(type(store()), "finish", gated)
    yield gate
    gate.opened.set()


@pytest.fixture(autouse=True)
def _nothing_executed() -> None:
    executed.clear()


def enqueue(number: int = MANY) -> None:
    count.enqueue_many([(index,) for index in range(number)])


def states() -> Counter[str]:
    return Counter(TaskRun.objects.values_list("state", flat=True))


def wait_until_done(number: int = MANY) -> None:
    wait_for(lambda: states() == {"successful": number}, "all are successful")


def test_it_claims_and_executes_meanwhile_and_no_more_than_it_may_hold(gate_before: Gate) -> None:
    enqueue(MORE)
    with working() as worker:
        assert gate_before.reached.wait(60)
        wait_for(lambda: worker._ledger.is_behind, "it has executed as many as it may")
        handed_over = len(gate_before.ids)
        assert handed_over >= MIN_BATCH
        assert len(executed) >= handed_over + MAX_WAITING_MEANWHILE
        most = handed_over + MAX_WAITING_MEANWHILE + 2 * (MAX_AHEAD + 4)
        assert TaskRun.objects.in_hand().count() <= most < MORE
        gate_before.opened.set()
        wait_until_done(MORE)
    assert set(executed.values()) == {1}
    assert set(TaskRun.objects.values_list("attempts", flat=True)) == {1}


def test_a_worker_that_is_asked_to_stop_waits_for_it_and_gives_back_the_rest(
    gate_before: Gate,
) -> None:
    enqueue(MORE)
    with working() as worker:
        assert gate_before.reached.wait(60)
        worker.stop()
        wait_for(lambda: states()["ready"] == MORE - len(executed), "the rest is given back")
        assert not worker.shutdown.over.is_set()
        gate_before.opened.set()
        assert worker.shutdown.over.wait(60)
    assert states() == {"successful": len(executed), "ready": MORE - len(executed)}
    ready = TaskRun.objects.ready().unlimited()
    assert set(ready.values_list("attempts", "claimed_by", "claim_token")) <= {(0, None, None)}
    assert not [thread for thread in threading.enumerate() if thread.name == THREAD]


def test_a_worker_that_is_asked_twice_waits_for_it_as_well(gate_before: Gate) -> None:
    enqueue(MORE)
    with working() as worker:
        assert gate_before.reached.wait(60)
        worker.stop()
        worker.stop()
        gate_before.opened.set()
    assert set(states()) == {"successful", "ready"}
    written = TaskRun.objects.successful().filter(id__in=gate_before.ids)
    assert written.count() == len(gate_before.ids)


def test_runs_that_are_no_longer_ours_are_refused(
    gate_before: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    enqueue()
    with working():
        assert gate_before.reached.wait(60)
        taken = TaskRun.objects.filter(id__in=gate_before.ids[:3])
        later = store().read_clock() + timedelta(hours=1)
        put_back = {"state": "scheduled", "available_at": later, "claim_token": None}
        elsewhere(lambda: taken.update(claimed_by=None, **put_back))
        gate_before.opened.set()
        wait_for(lambda: states() == {"successful": MANY - 3, "scheduled": 3}, "the others are")
        wait_for(lambda: caplog.text.count("its outcome is lost") == 3, "it is logged")
    assert all(str(run.id) in caplog.text for run in taken)
    assert set(taken.values_list("state", "finished_at")) == {("scheduled", None)}


def test_a_run_that_is_retried_before_it_knows_is_executed_again_and_told_twice(
    gate_after: Gate,
) -> None:
    enqueue()
    with working() as worker:
        told: Counter[UUID] = Counter()
        worker._events._recorded.append(
            lambda attempts: told.update(attempt.run.id for attempt in attempts)
        )
        assert gate_after.reached.wait(60)
        again = gate_after.ids[0]
        row = TaskRun.objects.filter(id=again)
        elsewhere(lambda: row.update(state="ready", claim_token=None, claimed_by=None, rank=-100))
        wait_for(lambda: executed[row.get().args[0]] == 2, "it is executed again")
        gate_after.opened.set()
        wait_until_done()
    assert told[again] == 2
    assert set(told.values()) == {1, 2}
    assert len(told) == MANY


def test_a_row_that_somebody_has_locked_holds_up_no_others(
    gate_before: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    enqueue()
    with working():
        assert gate_before.reached.wait(60)
        locked = gate_before.ids[0]
        rows = TaskRun.objects.filter(id=locked)
        with held_elsewhere(lambda: list(rows.select_for_update())):
            gate_before.opened.set()
            wait_for(lambda: states()["successful"] == MANY - 1, "the others are written")
            assert str(locked) in caplog.text
        wait_until_done()
    assert set(executed.values()) == {1}


def test_what_it_cannot_write_is_written_by_the_worker_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As where no further connection is left."""
    finish, broken = type(store()).finish, Event()

    def breaking(self: Any, runs: Sequence[TaskRun], *columns: Any) -> set[UUID]:
        if threading.current_thread().name == THREAD:
            broken.set()
            self.connection.ensure_connection()
            self.connection.connection.close()  # as if the server had gone
        return finish(self, runs, *columns)

    monkeypatch.setattr(type(store()), "finish", breaking)
    enqueue()
    with working():
        wait_until_done()
    assert broken.is_set()
    assert set(executed.values()) == {1}
    assert caplog.text.count("not written by the second writer") == 1


def test_a_worker_waits_for_one_that_takes_too_long_so_that_probes_fail(
    gate_before: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, waited_for = SecondWriter.take, Event()

    def noting(self: SecondWriter) -> set[UUID]:
        if not gate_before.opened.is_set():
            waited_for.set()
        return take(self)

    monkeypatch.setattr(SecondWriter, "take", noting)
    monkeypatch.setattr(second_writer, "PATIENCE", 0.0)
    enqueue()
    with working():
        assert waited_for.wait(60)
        gate_before.opened.set()
        wait_until_done()


@task(limit=Limit("of the second writer", at_once=500))
def limited(number: int) -> int:
    executed[number] += 1
    return number


def test_the_slots_of_limits_are_free_for_the_next_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    """So those who write them are those who claim."""
    finish, by = type(store()).finish, set[str]()

    def noting(self: Any, runs: Sequence[TaskRun], *columns: Any) -> set[UUID]:
        by.add(threading.current_thread().name)
        return finish(self, runs, *columns)

    monkeypatch.setattr(type(store()), "finish", noting)
    limited.enqueue_many([(index,) for index in range(300)])
    with working():
        wait_until_done(300)
    assert THREAD not in by


def test_a_few_outcomes_need_no_second_connection() -> None:
    with working() as worker:
        for _ in range(3):
            tasks.noop.enqueue_many([()] * (MIN_BATCH - 1))
            wait_for(lambda: not TaskRun.objects.exclude(state="successful"), "they are done")
        assert worker._ledger._second_writer._thread is None
