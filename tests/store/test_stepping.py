"""
Steps are recorded by their run's claim alone; and no event is missed, whoever comes first, waits
for the other's commit, or dies.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError, connection, transaction

from taskworks.duties.rescue import rescue
from taskworks.execution import Attempt, Suspended, settle
from taskworks.models import Event, RunState, StepRecord, TaskRun
from taskworks.steps.requests import AwaitEvent, History, ReadHistory, Record, RecordKind, TimeOut
from taskworks.store import Store
from tests.connections import begin_elsewhere, elsewhere, held_elsewhere, wait_until_blocked
from tests.store.conftest import Enqueue

DAY = timedelta(days=1)
NAME = "approved"


@pytest.fixture
def run(store: Store, enqueue: Enqueue, worker: UUID) -> TaskRun:
    """A run in the hands of a worker."""
    enqueue()
    [run] = store.claim(worker, "default", ["default"], {"thread": 1})
    return run


@pytest.fixture
def rescued(store: Store, worker: UUID) -> Callable[[], None]:
    def rescued() -> None:
        store.give_up_dead(worker)
        assert rescue(store) == 1

    return rescued


def record(run: TaskRun, name: str = "charge", text: str = '{"id": 1}') -> Record:
    return Record(RecordKind.STEP, name, text, run.claimed_at)


def state_of(run: TaskRun) -> str:
    return TaskRun.objects.get(id=run.id).state


def settled(run: TaskRun, seen: frozenset[str] = frozenset()) -> TaskRun:
    attempt = Attempt(run, "a label")
    attempt.begin()
    settle(attempt, Suspended(DAY, seen))
    return run


def suspend(store: Store, run: TaskRun, seen: frozenset[str] = frozenset()) -> bool:
    return run.id in store.suspend([settled(run, seen)])


def send(store: Store, run: TaskRun, value: Any = 1) -> bool:
    return store.send_event(run.id, NAME, value)


def is_due_within(run: TaskRun, seconds: float) -> bool:
    row = TaskRun.objects.get(id=run.id)
    return row.available_at - row.claimed_at < timedelta(seconds=seconds)


# The fence.


def test_what_is_recorded_is_read(store: Store, run: TaskRun) -> None:
    assert store.answer(run, ReadHistory()) == History()
    assert store.answer(run, record(run)) is True
    history = store.answer(run, ReadHistory())
    assert history.records["charge"].value == {"id": 1}


def test_a_record_may_be_repeated_when_its_answer_was_lost(store: Store, run: TaskRun) -> None:
    assert store.record_step(run, record(run))
    with transaction.atomic():  # also in the transaction of an atomic step
        assert store.record_step(run, record(run, text="2"))
        assert StepRecord.objects.get().value == {"id": 1}


REQUESTS: list[Any] = [
    ReadHistory(),
    Record(RecordKind.STEP, "charge", "1", None),
    AwaitEvent(NAME, None, is_known=False),
    AwaitEvent(NAME, None, is_known=True),
    TimeOut(NAME, None),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: type(one).__name__)
def test_a_zombie_learns_and_records_nothing(
    store: Store, run: TaskRun, rescued: Callable[[], None], request_: Any
) -> None:
    Event.objects.create(run=run.id, name=NAME)
    rescued()
    at = store.read_clock()
    changes = {n: at for n in ("ended_at", "at") if getattr(request_, n, at) is None}
    asked = type(request_)(**{**_fields(request_), **changes})
    assert store.answer(run, asked) is None
    assert not StepRecord.objects.exists()
    assert Event.objects.get().ended_at is None


def _fields(request: Any) -> dict[str, Any]:
    return {name: getattr(request, name) for name in getattr(request, "__slots__", ())}


@pytest.mark.parametrize("request_", REQUESTS[1:3], ids=lambda one: type(one).__name__)
def test_a_rescue_that_is_under_way_comes_first(
    store: Store, run: TaskRun, worker: UUID, request_: Any
) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time.")
    asked = record(run) if isinstance(request_, Record) else request_

    def take_away() -> None:
        TaskRun.objects.filter(id=run.id).update(state="ready", claim_token=None, claimed_by=None)

    with held_elsewhere(take_away):
        # In a transaction, because a lock timeout ends a wait outside of one.
        answer = begin_elsewhere(lambda: _in_transaction(lambda: store.answer(run, asked)))
        wait_until_blocked()
    assert answer.result(timeout=60) is None
    assert not StepRecord.objects.exists()
    assert not Event.objects.exists()


def _in_transaction(do: Callable[[], Any]) -> Any:
    with transaction.atomic():
        return do()


# The sender and the worker, in every order.


def test_sent_before_the_wait(store: Store, run: TaskRun) -> None:
    assert elsewhere(lambda: send(store, run, None)) is True
    event = store.await_event(run, NAME, None, is_known=False)
    assert event.has_ended
    assert event.is_sent
    assert event.value is None


def test_sent_but_not_committed_before_the_wait(store: Store, run: TaskRun) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time.")
    with held_elsewhere(lambda: send(store, run)):
        waiting = begin_elsewhere(
            lambda: _in_transaction(lambda: store.await_event(run, NAME, None, is_known=False))
        )
        wait_until_blocked()
    assert waiting.result(timeout=60).is_sent


def test_sent_between_the_wait_and_the_end_of_the_attempt(store: Store, run: TaskRun) -> None:
    assert not store.await_event(run, NAME, None, is_known=False).has_ended
    assert elsewhere(lambda: send(store, run)) is True
    assert state_of(run) == RunState.CLAIMED
    assert suspend(store, run)
    assert state_of(run) == RunState.READY
    assert is_due_within(run, 60)


def test_sent_but_not_committed_at_the_end_of_the_attempt(store: Store, run: TaskRun) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time.")
    store.await_event(run, NAME, None, is_known=False)
    with held_elsewhere(lambda: send(store, run)):
        assert elsewhere(lambda: suspend(store, run))  # and does not wait for the sender
        assert state_of(run) == RunState.SCHEDULED
        assert is_due_within(run, 60)
    assert Event.objects.get().is_sent


def test_sent_after_the_end_of_the_attempt(store: Store, run: TaskRun) -> None:
    store.await_event(run, NAME, None, is_known=False)
    assert suspend(store, run)
    assert state_of(run) == RunState.SCHEDULED
    assert not is_due_within(run, 60)
    with transaction.atomic():
        assert send(store, run)
        assert elsewhere(lambda: state_of(run)) == RunState.SCHEDULED
    assert state_of(run) == RunState.READY


def test_sent_while_the_end_of_the_attempt_is_written(store: Store, run: TaskRun) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time.")
    store.await_event(run, NAME, None, is_known=False)
    with held_elsewhere(lambda: suspend(store, run)):
        sending = begin_elsewhere(lambda: send(store, run))
        wait_until_blocked()
    assert sending.result(timeout=60) is True
    assert state_of(run) == RunState.READY


def test_a_row_that_another_session_has_locked_holds_no_worker_up(
    store: Store, enqueue: Enqueue, worker: UUID
) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time.")
    for _ in range(2):
        enqueue()
    runs = store.claim(worker, "default", ["default"], {"thread": 2})
    for run in runs:
        store.await_event(run, NAME, run.claimed_at, is_known=False)
        settled(run)

    def lock() -> None:
        TaskRun.objects.select_for_update().get(id=runs[0].id)

    with held_elsewhere(lock):
        for do in (
            lambda: store.suspend(runs),
            lambda: store.record_step(runs[0], record(runs[0])),
            lambda: store.await_event(runs[0], "another", None, is_known=False),
        ):
            with pytest.raises(OperationalError) as refused:
                do()
            assert store.is_lock_timeout(refused.value)
        assert not store.time_out(runs[0], NAME, runs[0].claimed_at).has_ended
        assert store.suspend([runs[1]]) == {runs[1].id}
    settled(runs[0])
    assert store.suspend([runs[0]]) == {runs[0].id}


def test_an_event_that_is_being_inserted_holds_no_worker_up(store: Store, run: TaskRun) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time.")
    with held_elsewhere(lambda: send(store, run)):
        with pytest.raises(OperationalError) as refused:
            store.await_event(run, NAME, None, is_known=False)
        assert store.is_lock_timeout(refused.value)
    assert store.await_event(run, NAME, None, is_known=False).is_sent


def test_an_event_that_its_task_has_seen_wakes_nobody(store: Store, run: TaskRun) -> None:
    send(store, run)
    store.await_event(run, "another", None, is_known=False)
    assert suspend(store, run, seen=frozenset({NAME}))
    assert state_of(run) == RunState.SCHEDULED


def test_a_timeout_and_a_sender(store: Store, run: TaskRun) -> None:
    store.await_event(run, NAME, run.claimed_at, is_known=False)
    if connection.vendor != "sqlite":
        with held_elsewhere(lambda: send(store, run)):
            open_still = elsewhere(lambda: store.time_out(run, NAME, run.claimed_at))
            assert not open_still.has_ended
        assert store.time_out(run, NAME, run.claimed_at).is_sent
    else:
        timed_out = store.time_out(run, NAME, run.claimed_at)
        assert timed_out.has_ended
        assert not timed_out.is_sent
        assert send(store, run) is False


@pytest.mark.parametrize("is_open", [True, False])
def test_of_two_senders_the_second_waits_for_the_first(
    store: Store, run: TaskRun, *, is_open: bool
) -> None:
    if is_open:
        store.await_event(run, NAME, None, is_known=False)
    if connection.vendor == "sqlite":
        assert (send(store, run), send(store, run, 2)) == (True, False)
        return
    with held_elsewhere(lambda: send(store, run)) as is_first:
        second = begin_elsewhere(lambda: send(store, run, 2))
        wait_until_blocked()
    assert (is_first, second.result(timeout=60)) == (True, False)
    assert Event.objects.get().value == 1


def test_a_sender_that_rolls_back_has_sent_nothing(store: Store, run: TaskRun) -> None:
    store.await_event(run, NAME, None, is_known=False)
    suspend(store, run)
    with transaction.atomic():
        send(store, run)
        transaction.set_rollback(True)
    assert state_of(run) == RunState.SCHEDULED
    assert send(store, run, 2) is True
    assert Event.objects.get().value == 2


# Deaths. A session that ends between two statements is rolled back by the database.


class DiedError(BaseException):
    pass


@contextmanager
def dying_before(number: int) -> Iterator[list[str]]:
    """The session ends before its statement with this number, if there are so many."""
    sent: list[str] = []

    def count(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        if len(sent) == number:
            raise DiedError
        sent.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(count):
        yield sent


def died(number: int, do: Callable[[], Any]) -> bool:
    """Whether the session has died before its statement with this number."""

    def until_it_dies() -> bool:
        try:
            with dying_before(number):
                do()
        except DiedError:
            return True
        return False

    return elsewhere(until_it_dies)


def test_a_sender_that_dies_between_any_two_statements(
    store: Store, enqueue: Enqueue, worker: UUID
) -> None:
    number = 0
    has_died = True
    while has_died:
        enqueue()
        [run] = store.claim(worker, "default", ["default"], {"thread": 1})
        store.await_event(run, NAME, None, is_known=False)
        suspend(store, run)
        has_died = died(number, lambda run=run: send(store, run))
        is_sent = state_of(run) == RunState.READY
        assert is_sent or has_died
        assert send(store, run, 2) is not is_sent
        assert state_of(run) == RunState.READY
        TaskRun.objects.all().delete()
        number += 1
    assert number > 3


def test_a_worker_that_dies_between_any_two_statements(
    store: Store, enqueue: Enqueue, worker: UUID
) -> None:
    number = 0
    has_died = True
    while has_died:
        enqueue()
        [run] = store.claim(worker, "default", ["default"], {"thread": 1})
        store.await_event(run, NAME, None, is_known=False)
        has_died = died(number, lambda run=run: suspend(store, run))
        is_claimed = state_of(run) == RunState.CLAIMED  # and will be rescued
        assert has_died or not is_claimed
        assert send(store, run) is True
        if is_claimed:
            assert suspend(store, run)  # as the next attempt would, if it had not looked
        assert state_of(run) == RunState.READY
        TaskRun.objects.all().delete()
        number += 1
    assert number > 2


@pytest.mark.skipif(connection.vendor == "sqlite", reason="On SQLite one writes, and others wait.")
@pytest.mark.django_db(transaction=True)
def test_a_fresh_retry_waits_for_who_sends_an_event(
    store: Store, run: TaskRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both write the event and the run, and in the other order they could wait for each other."""
    assert store.answer(run, AwaitEvent(NAME, None, False))
    TaskRun.objects.update(state=RunState.FAILED, finished_at=run.claimed_at)
    wake, retried = Store._wake, []

    def wake_after_the_other_has_begun(self: Store, run_id: UUID) -> None:
        retried.append(begin_elsewhere(lambda: store.retry(run_id, fresh=True)))
        wait_until_blocked()
        wake(self, run_id)

    monkeypatch.setattr(Store, "_wake", wake_after_the_other_has_begun)
    assert elsewhere(lambda: store.send_event(run.id, NAME, "yes"))
    assert retried[0].result(timeout=60)
    assert state_of(run) == RunState.READY
    assert not Event.objects.exists()
