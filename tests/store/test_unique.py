"""
Of the runs with one unique key, at most one holds it; who enqueues another meets that one.

The numbers of the cases are those of the list of what has gone wrong elsewhere.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from taskworks import real_time
from taskworks.execution import Attempt, Released, Retried, Snoozed, failure, settle
from taskworks.models import RunState, TaskRun, UniqueKey
from taskworks.options.owner import ANYBODY
from taskworks.options.retention import Rule
from taskworks.options.unique import Debounce, Unique
from taskworks.store import Store, unique_runs
from taskworks.store import store as store_of
from taskworks.store.unique_runs import Call, KeyHeld
from tests.connections import begin_elsewhere, elsewhere, held_elsewhere, wait_until_blocked
from tests.new_runs import new_runs
from tests.plans import assert_no_scan, plans
from tests.store.conftest import Enqueue
from tests.unique import (
    SUPERSEDED,
    age,
    begun,
    change,
    claimed,
    enqueue_unique,
    holder,
    key_of,
    succeed,
    unfinished,
)

KEEP = Unique()
WAITING = Unique(while_="waiting")
REPLACE = Unique(on_conflict="replace")
LATEST = Unique(while_="waiting", on_conflict="replace")
REFUSE = Unique(on_conflict="refuse")
SUPERSEDE = Unique(on_conflict="supersede")
HOUR = Unique(period=timedelta(hours=1))
LOCKING = [WAITING, REPLACE, LATEST, Debounce(wait=30, longest=300)]


def retried() -> Retried:
    return Retried(
        ValueError(), {"exception_class_path": "a", "traceback": "b"}, timedelta(minutes=1)
    )


no_row_locks = pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite locks no rows")


@pytest.fixture
def somebody_waits(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Waits until somebody waits for a run that is locked."""
    if connection.vendor != "mysql":
        return wait_until_blocked
    waits, sleep = Event(), real_time.sleep

    def look_again(seconds: float) -> None:
        waits.set()
        sleep(seconds)

    monkeypatch.setattr(real_time, "sleep", look_again)
    return lambda: _assert_set(waits)


def _assert_set(event: Event) -> None:
    assert event.wait(timeout=60)


# Which run stands.


def test_a_second_one_meets_the_first() -> None:
    first = enqueue_unique("a")
    second = enqueue_unique("a")
    assert first.is_new
    assert not second.is_new
    assert second.id == first.id
    assert unfinished() == [first.id]


def test_each_key_has_its_own() -> None:
    assert enqueue_unique("a").id != enqueue_unique("b").id
    assert len(unfinished()) == 2


def test_once_it_has_ended_the_next_one_stands(store: Store, worker: UUID) -> None:
    first = enqueue_unique("a")
    succeed(store, begun(store, worker))
    second = enqueue_unique("a")
    assert second.is_new
    assert holder("a") == second.id != first.id


def test_between_two_attempts_it_still_stands(store: Store, worker: UUID) -> None:
    first = enqueue_unique("a")
    attempt = begun(store, worker)
    assert enqueue_unique("a").id == first.id
    settle(attempt, retried())
    assert store.requeue([attempt.run]) == {first.id}
    assert enqueue_unique("a").id == first.id


@pytest.mark.parametrize("unique", [WAITING, LATEST])
def test_while_waiting_one_that_has_begun_stands_no_more(
    store: Store, worker: UUID, unique: Unique
) -> None:
    first = enqueue_unique("a", unique=unique)
    assert enqueue_unique("a", unique=unique).id == first.id
    [run] = claimed(store, worker)
    second = enqueue_unique("a", unique=unique)
    assert second.is_new
    assert second.id != run.id == first.id


def test_one_that_comes_back_to_wait_has_lost_its_key(store: Store, worker: UUID) -> None:
    """Case 13: so no retry, snooze or rescue can meet another run's key."""
    first = enqueue_unique("a", unique=WAITING)
    attempt = begun(store, worker)
    second = enqueue_unique("a", unique=WAITING)
    settle(attempt, retried())
    assert store.requeue([attempt.run]) == {first.id}
    assert enqueue_unique("a", unique=WAITING).id == second.id
    assert unfinished() == [first.id, second.id]


@pytest.mark.parametrize("unique", LOCKING)
@pytest.mark.parametrize("outcome", [Snoozed(timedelta(minutes=10)), Released()])
def test_one_whose_first_attempt_does_not_count_has_begun(
    store: Store, worker: UUID, unique: Unique, outcome: Snoozed | Released
) -> None:
    first = enqueue_unique("a", unique=unique, arguments=[[1]])
    attempt = begun(store, worker)
    settle(attempt, outcome)
    put_back = store.requeue if isinstance(outcome, Snoozed) else store.release
    assert put_back([attempt.run]) == {first.id}
    before = TaskRun.objects.filter(id=first.id).values().get()
    assert before["attempts"] == 0
    second = enqueue_unique("a", unique=unique, arguments=[[2]])
    assert TaskRun.objects.filter(id=first.id).values().get() == before
    assert second.is_new == (unique is not REPLACE)


def test_one_that_was_claimed_and_given_back_still_waits(store: Store, worker: UUID) -> None:
    first = enqueue_unique("a", unique=WAITING)
    assert claimed(store, worker)
    assert store.release_strays(worker, []) == 1
    assert enqueue_unique("a", unique=WAITING).id == first.id


def test_a_period_counts_from_the_enqueue(store: Store, worker: UUID) -> None:
    first = enqueue_unique("a", unique=HOUR)
    succeed(store, begun(store, worker))
    assert enqueue_unique("a", unique=HOUR).id == first.id
    age(first.id, 3590)
    assert enqueue_unique("a", unique=HOUR).id == first.id
    age(first.id, 20)
    assert enqueue_unique("a", unique=HOUR).is_new


def test_a_period_alone_is_all_that_counts() -> None:
    first = enqueue_unique("a", unique=HOUR)
    age(first.id, 3610)
    assert enqueue_unique("a", unique=HOUR).is_new


def test_with_a_state_a_period_counts_as_well(store: Store, worker: UUID) -> None:
    both = Unique(while_="waiting", period=3600)
    first = enqueue_unique("a", unique=both)
    age(first.id, 3610)
    assert enqueue_unique("a", unique=both).id == first.id
    begun(store, worker)
    second = enqueue_unique("a", unique=both)
    assert second.is_new
    begun(store, worker)
    assert enqueue_unique("a", unique=both).id == second.id


def test_a_cancelled_one_stands_no_more(store: Store) -> None:
    first = enqueue_unique("a")
    store.cancel(first.id, {"exception_class_path": "a", "traceback": "b"})
    assert enqueue_unique("a").is_new


def test_one_that_is_retried_by_hand_stands_again(store: Store, worker: UUID) -> None:
    first = enqueue_unique("a")
    attempt = begun(store, worker)
    settle(attempt, failure(ValueError("no luck")))
    store.finish([attempt.run])
    assert store.retry(first.id)
    assert enqueue_unique("a").id == first.id


def test_a_retry_by_hand_cannot_meet_a_key(store: Store, worker: UUID) -> None:
    """Case 14."""
    first = enqueue_unique("a")
    attempt = begun(store, worker)
    settle(attempt, failure(ValueError("no luck")))
    store.finish([attempt.run])
    second = enqueue_unique("a")
    assert store.retry(first.id)
    assert unfinished() == [first.id, second.id]
    assert enqueue_unique("a").id == second.id


def test_a_batch_of_retries_is_written_whatever_others_have_taken(
    store: Store, worker: UUID
) -> None:
    """Case 14: one conflict of a unique index would undo the whole batch."""
    names = [f"key {number}" for number in range(100)]
    enqueue_unique(*names, unique=WAITING)
    runs = store.claim(worker, "default", ["default"], {"thread": 100})
    attempts = [Attempt(run, "a label") for run in runs]
    for attempt in attempts:
        attempt.begin()
    store.start(runs)
    for attempt in attempts:
        settle(attempt, retried())
    others = enqueue_unique(*names[:3], unique=WAITING)
    assert others.standing.inserted == [0, 1, 2]
    assert len(store.requeue(runs)) == 100
    assert len(unfinished()) == 103


def test_a_rescued_one_stands(store: Store, worker: UUID) -> None:
    first = enqueue_unique("a")
    begun(store, worker)
    store.workers.filter(id=worker).update(given_up_at=store.read_clock())
    assert [run.id for run in store.rescue(10)] == [first.id]
    assert enqueue_unique("a").id == first.id


@pytest.mark.parametrize("unique", [Unique(), *LOCKING, REFUSE, SUPERSEDE])
def test_one_that_is_gone_stands_no_more(unique: Unique) -> None:
    """Case 16, as when somebody deletes runs by hand."""
    TaskRun.objects.filter(id=enqueue_unique("a", unique=unique).id).delete()
    second = enqueue_unique("a", unique=unique)
    assert second.is_new
    assert holder("a") == second.id


def test_a_key_and_its_run_are_written_together() -> None:
    """Case 16: nothing is left of an enqueue that ends between the two."""

    def fail(_: Any) -> None:
        assert UniqueKey.objects.exists()
        raise ZeroDivisionError

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tests.unique.store_of", lambda: _Failing(fail))
        with pytest.raises(ZeroDivisionError):
            enqueue_unique("a")
    assert not UniqueKey.objects.exists()
    assert enqueue_unique("a").is_new


class _Failing:
    """A store that fails instead of inserting runs."""

    def __init__(self, insert: Callable[[Any], None]) -> None:
        from taskworks.store import store

        self.enqueue, self.enqueue_unique = insert, store().enqueue_unique


# Conflicts.


def test_refuse_says_which_run_stands() -> None:
    first = enqueue_unique("a", unique=REFUSE)
    with pytest.raises(KeyHeld) as held:
        enqueue_unique("a", unique=REFUSE)
    assert held.value.run.id == first.id


def test_refuse_leaves_nothing_behind() -> None:
    first = enqueue_unique("b", unique=REFUSE)
    with pytest.raises(KeyHeld) as held:
        enqueue_unique("a", "b", "c", unique=REFUSE)
    assert held.value.place == 1
    assert unfinished() == [first.id]
    assert UniqueKey.objects.count() == 1


def test_refuse_leaves_the_caller_s_transaction_as_it_is() -> None:
    enqueue_unique("a")
    with transaction.atomic():
        with pytest.raises(KeyHeld):
            enqueue_unique("a", unique=REFUSE)
        second = enqueue_unique("b")
    assert second.id in unfinished()


def test_replace_gives_what_waits_the_new_arguments_and_options() -> None:
    first = enqueue_unique("a", unique=REPLACE, arguments=[[1]], rank=0, owner="7")
    second = enqueue_unique(
        "a", unique=REPLACE, arguments=[["two"]], kwargs={"to": "ann"}, rank=-5, queue_name="mail"
    )
    assert second.id == first.id
    run = TaskRun.objects.get()
    assert (run.args, run.kwargs, run.priority, run.queue_name) == (
        ["two"],
        {"to": "ann"},
        5,
        "mail",
    )
    assert run.owner == "7"
    assert second.standing.met[0].args == ["two"]


def test_a_replaced_run_keeps_its_place(store: Store) -> None:
    first = enqueue_unique("a", unique=REPLACE)
    age(first.id, 30)
    before = TaskRun.objects.get()
    enqueue_unique("a", unique=REPLACE, arguments=[[2]])
    after = TaskRun.objects.get()
    assert (after.available_at, after.state) == (before.available_at, "ready")
    assert after.enqueued_at == before.enqueued_at


@pytest.mark.parametrize(("before", "after"), [(None, 60), (60, None), (60, 120)])
def test_replace_takes_over_the_time(before: int | None, after: int | None) -> None:
    def enqueue(seconds: int | None) -> None:
        delay = None if seconds is None else timedelta(seconds=seconds)
        enqueue_unique("a", unique=REPLACE, run_after=delay)

    enqueue(before)
    enqueue(after)
    run = TaskRun.objects.get()
    assert run.state == ("ready" if after is None else "scheduled")
    waits = (run.available_at - run.enqueued_at).total_seconds()
    assert (after or 0) <= waits < (after or 0) + 50


def test_replace_leaves_alone_what_has_begun(store: Store, worker: UUID) -> None:
    first = enqueue_unique("a", unique=REPLACE, arguments=[[1]])
    begun(store, worker)
    second = enqueue_unique("a", unique=REPLACE, arguments=[[2]])
    assert second.id == first.id
    assert TaskRun.objects.get().args == [1]


def test_replace_of_a_blocked_run_leaves_it_blocked(store: Store, enqueue: Enqueue) -> None:
    enqueue()
    first = enqueue_unique("a", unique=REPLACE)
    change(first.id, state=RunState.BLOCKED)
    assert enqueue_unique("a", unique=REPLACE, arguments=[[2]]).id == first.id
    run = TaskRun.objects.get(id=first.id)
    assert (run.state, run.args, run.available_at) == ("blocked", [2], run.enqueued_at)


@pytest.mark.parametrize("seconds", [600, -600])
def test_a_time_given_to_a_blocked_run_counts_once_it_waits_no_more(
    store: Store, seconds: float
) -> None:
    first = enqueue_unique("a", unique=REPLACE)
    change(first.id, state=RunState.BLOCKED)
    time = store.read_clock() + timedelta(seconds=seconds)
    enqueue_unique("a", unique=REPLACE, run_after=time)
    run = TaskRun.objects.get(id=first.id)
    waits = (run.available_at - run.enqueued_at).total_seconds()
    assert run.run_after is None
    assert waits == 0 if seconds < 0 else 500 < waits <= 600


def test_supersede_cancels_what_waits(store: Store) -> None:
    first = enqueue_unique("a", unique=SUPERSEDE)
    second = enqueue_unique("a", unique=SUPERSEDE)
    assert second.is_new
    assert second.standing.cancelled == [first.id]
    assert unfinished() == [second.id] == [holder("a")]
    run = TaskRun.objects.get(id=first.id)
    assert (run.state, run.errors[0]["traceback"]) == ("cancelled", "newer")


def test_supersede_asks_what_has_begun_to_stop(store: Store, worker: UUID) -> None:
    first = enqueue_unique("a", unique=SUPERSEDE)
    begun(store, worker)
    second = enqueue_unique("a", unique=SUPERSEDE)
    assert second.standing.cancelled == []
    assert store.to_cancel(worker) == {first.id}
    assert holder("a") == second.id


@pytest.mark.parametrize("unique", [Unique(), REPLACE, LATEST, SUPERSEDE, REFUSE])
def test_a_run_of_another_owner_may_be_left_out(unique: Unique) -> None:
    first = enqueue_unique("a", owner="ann")
    with pytest.raises(KeyHeld) as held:
        enqueue_unique("a", unique=unique, owner="bob", only_own=True)
    assert held.value.is_of_other_owner
    assert unfinished() == [first.id]
    assert TaskRun.objects.get().owner == "ann"


def test_a_run_of_somebody_who_is_not_signed_in_may_be_anybody_s() -> None:
    first = enqueue_unique("a", owner=ANYBODY)
    with pytest.raises(KeyHeld) as held:
        enqueue_unique("a", owner=ANYBODY, only_own=True)
    assert held.value.is_of_other_owner
    assert enqueue_unique("b", owner="ann").is_new
    assert not enqueue_unique("b", owner="ann", only_own=True).is_new
    assert first.id in unfinished()


# Several at once.


@pytest.mark.parametrize(
    ("unique", "stands"), [(Unique(), 0), (WAITING, 0), (REPLACE, 2), (SUPERSEDE, 2)]
)
def test_of_equal_ones_in_one_call_one_stands(unique: Unique, stands: int) -> None:
    call = enqueue_unique("a", "b", "a", unique=unique, arguments=[[0], [1], [2]])
    assert call.ids[0] == call.ids[2] == call.new.uuids[stands]
    assert call.standing.inserted == sorted([stands, 1])
    assert {run.id: run.args for run in TaskRun.objects.all()} == {
        call.ids[0]: [stands],
        call.ids[1]: [1],
    }


def test_a_call_may_take_meet_and_take_over(store: Store, worker: UUID) -> None:
    enqueue_unique("ended", "ended too")
    for run in claimed(store, worker):
        attempt = Attempt(run, "a label")
        attempt.begin()
        succeed(store, attempt)
    stands = enqueue_unique("stands")
    call = enqueue_unique("new", "stands", "ended", "ended too")
    assert call.standing.inserted == [0, 2, 3]
    assert call.ids[1] == stands.id
    names = ["new", "stands", "ended", "ended too"]
    assert [holder(name) for name in names] == call.ids


def test_more_than_one_statement_takes(store: Store) -> None:
    names = [f"key {number}" for number in range(450)]
    first = enqueue_unique(*names)
    assert len({*first.ids}) == 450
    assert enqueue_unique(*reversed(names)).ids == first.ids[::-1]
    TaskRun.objects.all().delete()
    third = enqueue_unique(*names)
    assert third.standing.inserted == [*range(450)]
    assert UniqueKey.objects.count() == TaskRun.objects.count() == 450


# Two connections.


@pytest.mark.parametrize("unique", [Unique(), *LOCKING])
def test_who_meets_one_that_is_not_committed_waits_for_it(unique: Unique) -> None:
    with held_elsewhere(lambda: enqueue_unique("a", unique=unique).id) as first:
        second = begin_elsewhere(lambda: enqueue_unique("a", unique=unique))
        wait_until_blocked()
        assert not second.done()
    assert second.result(timeout=60).id == first
    assert unfinished() == [first]


def test_it_is_the_first_if_that_is_rolled_back() -> None:
    """An advisory lock that took busy for a duplicate would lose the run."""

    def roll_back() -> None:
        with transaction.atomic():
            enqueue_unique("a")
            going.append(begin_elsewhere(lambda: enqueue_unique("a")))
            wait_until_blocked()
            transaction.set_rollback(True)

    going: list[Any] = []
    roll_back()
    second = going[0].result(timeout=60)
    assert second.is_new
    assert unfinished() == [second.id] == [holder("a")]


@pytest.mark.parametrize("unique", [Unique(), WAITING, LATEST, SUPERSEDE])
def test_of_two_that_find_it_ended_one_takes_over(
    store: Store, worker: UUID, unique: Unique
) -> None:
    enqueue_unique("a")
    succeed(store, begun(store, worker))
    with held_elsewhere(lambda: enqueue_unique("a", unique=unique).id) as first:
        second = begin_elsewhere(lambda: enqueue_unique("a", unique=unique))
        wait_until_blocked()
    result = second.result(timeout=60)
    assert unfinished() == [result.id] == [holder("a")]
    assert (result.id == first) == (unique is not SUPERSEDE)


@pytest.mark.parametrize("unique", [KEEP, REFUSE])
@pytest.mark.parametrize("goes_to", ["another", "nobody"])
def test_a_key_that_changes_hands_between_two_reads_is_judged_by_who_has_it_in_the_end(
    store: Store, worker: UUID, monkeypatch: pytest.MonkeyPatch, unique: Unique, goes_to: str
) -> None:
    enqueue_unique("a")
    attempt = begun(store, worker)
    given: list[UUID] = []
    read = unique_runs.fetch_with_now

    def end_it_and_give_its_key_away() -> None:
        succeed(store, attempt)
        given.extend([enqueue_unique("a").id] if goes_to == "another" else [])

    def read_late(*of_what: Any) -> Any:
        if not given and TaskRun.objects.running().exists():
            elsewhere(end_it_and_give_its_key_away)
        return read(*of_what)

    monkeypatch.setattr(unique_runs, "fetch_with_now", read_late)
    if unique is REFUSE and goes_to == "another":
        with pytest.raises(KeyHeld) as refused:
            enqueue_unique("a", unique=unique)
        stands = refused.value.run.id
    else:
        stands = enqueue_unique("a", unique=unique).id
    assert unfinished() == [stands] == [holder("a")]
    assert given in ([], [stands])


def test_of_many_at_once_one_stands(store: Store, worker: UUID) -> None:
    enqueue_unique("ended")
    succeed(store, begun(store, worker))
    calls = [begin_elsewhere(lambda: enqueue_unique("new", "ended", "new")) for _ in range(8)]
    ids = [call.result(timeout=60).ids for call in calls]
    assert len({*map(tuple, ids)}) == 1
    assert len(unfinished()) == 2


@no_row_locks
def test_keepers_of_a_running_one_do_not_wait_for_each_other(store: Store, worker: UUID) -> None:
    first = enqueue_unique("a")
    attempt = begun(store, worker)
    with held_elsewhere(lambda: enqueue_unique("a").id) as met:
        assert elsewhere(lambda: enqueue_unique("a").id) == met == first.id
        succeed(store, attempt)  # nor does its worker


@no_row_locks
@pytest.mark.parametrize("unique", LOCKING)
def test_what_has_begun_is_not_left_locked(store: Store, worker: UUID, unique: Unique) -> None:
    enqueue_unique("a", unique=unique)
    attempt = begun(store, worker)
    with held_elsewhere(lambda: enqueue_unique("a", unique=unique)):
        succeed(store, attempt)


@no_row_locks
@pytest.mark.parametrize("unique", LOCKING)
def test_what_a_caller_has_met_does_not_begin_before_its_commit(
    store: Store, worker: UUID, unique: Unique
) -> None:
    """The lost last change: the run must see what the caller has written before it enqueued."""
    first = enqueue_unique("a", unique=unique)
    with held_elsewhere(lambda: enqueue_unique("a", unique=unique).id) as met:
        assert met == first.id
        assert claimed(store, worker) == []
        store.promote(10)
        assert claimed(store, worker) == []
    change(first.id, state=RunState.READY)
    assert [run.id for run in claimed(store, worker)] == [first.id]


@no_row_locks
def test_a_keeper_of_an_unfinished_one_does_not_hold_it_back(store: Store, worker: UUID) -> None:
    """Of these a running one is kept as well, so there is nothing to gain."""
    first = enqueue_unique("a")
    with held_elsewhere(lambda: enqueue_unique("a").id):
        assert [run.id for run in claimed(store, worker)] == [first.id]


@no_row_locks
@pytest.mark.parametrize("unique", LOCKING)
def test_what_is_being_claimed_is_not_met(
    store: Store, worker: UUID, unique: Unique, somebody_waits: Callable[[], None]
) -> None:
    """Neither is it left locked: its worker finishes it while the caller is busy."""
    enqueue_unique("a", unique=unique)
    taken = Event()

    def claim_until_somebody_waits() -> list[TaskRun]:
        with transaction.atomic():
            runs = claimed(store, worker)
            taken.set()
            somebody_waits()
            return runs

    claiming = begin_elsewhere(claim_until_somebody_waits)
    assert taken.wait(timeout=60)
    with transaction.atomic():
        second = enqueue_unique("a", unique=unique)
        [run] = claiming.result(timeout=60)
        attempt = Attempt(run, "a label")
        attempt.begin()
        elsewhere(lambda: succeed(store, attempt))
    assert second.is_new == (unique is not REPLACE)


@no_row_locks
@pytest.mark.parametrize("unique", [WAITING, LATEST])
def test_callers_one_after_another_hold_it_back_for_a_minute_at_most(
    store: Store, worker: UUID, unique: Unique
) -> None:
    first = enqueue_unique("a", unique=unique)
    age(first.id, 61)
    with held_elsewhere(lambda: enqueue_unique("a", unique=unique).id) as met:
        second = elsewhere(lambda: enqueue_unique("a", unique=unique))
        assert second.is_new
        assert met == first.id != second.id
    assert holder("a") == second.id


@no_row_locks
@pytest.mark.parametrize("options", [{"while_": "waiting"}, {"on_conflict": "replace"}])
def test_a_period_keeps_nobody_from_a_run_that_sees_the_caller_s_change(
    options: dict[str, Any],
) -> None:
    """The one that stands cannot be held back, and could not be given the arguments."""
    unique = Unique(period=3600, **options)
    first = enqueue_unique("a", unique=unique, arguments=[[1]])
    age(first.id, 61)
    with held_elsewhere(lambda: enqueue_unique("a", unique=unique).id) as met:
        second = elsewhere(lambda: enqueue_unique("a", unique=unique, arguments=[[2]]))
        assert second.is_new
        assert met == first.id
    assert TaskRun.objects.get(id=second.id).args == [2]
    assert holder("a") == second.id


@no_row_locks
def test_debounced_ones_are_held_back_for_the_longest_wait_at_most() -> None:
    unique = Debounce(wait=10, longest=30)
    first = enqueue_unique("a", unique=unique)
    age(first.id, 31)
    change(first.id, state=RunState.READY)
    with held_elsewhere(lambda: enqueue_unique("a", unique=unique).id) as met:
        assert met == first.id
        assert elsewhere(lambda: enqueue_unique("a", unique=unique)).is_new


@pytest.mark.parametrize("unique", [WAITING, LATEST])
def test_one_that_waits_long_because_workers_are_busy_still_stands(unique: Unique) -> None:
    first = enqueue_unique("a", unique=unique)
    age(first.id, 3600)
    assert enqueue_unique("a", unique=unique).id == first.id


@no_row_locks
@pytest.mark.parametrize("unique", LOCKING)
def test_who_waits_for_one_run_has_not_locked_those_after_it(
    store: Store, unique: Unique, somebody_waits: Callable[[], None]
) -> None:
    ids = enqueue_unique("a", "b", "c", unique=unique).ids
    assert ids == sorted(ids)
    with held_elsewhere(lambda: enqueue_unique("b", unique=unique)):
        call = begin_elsewhere(lambda: enqueue_unique("c", "b", "a", unique=unique).ids)
        somebody_waits()
        assert elsewhere(lambda: store.locked_elsewhere(ids)) == {*ids[:2]}
    assert call.result(timeout=60) == ids[::-1]


@no_row_locks
@pytest.mark.parametrize("unique", LOCKING)
def test_two_calls_with_the_same_keys_do_not_wait_for_each_other(
    unique: Unique, somebody_waits: Callable[[], None]
) -> None:
    ids = enqueue_unique("a", "b", "c", unique=unique).ids
    with held_elsewhere(lambda: enqueue_unique("b", unique=unique)):
        with held_elsewhere(lambda: enqueue_unique("c", unique=unique)):
            one = begin_elsewhere(lambda: enqueue_unique("a", "b", "c", unique=unique).ids)
            somebody_waits()
        other = begin_elsewhere(lambda: enqueue_unique("a", "b", "c", unique=unique).ids)
        if connection.vendor == "postgresql":
            wait_until_blocked(2)
    assert one.result(timeout=60) == other.result(timeout=60) == ids


# Debounce.


def test_each_enqueue_puts_it_off() -> None:
    unique = Debounce(wait=30, longest=300)
    first = enqueue_unique("a", unique=unique, run_after=timedelta(seconds=30))
    assert TaskRun.objects.get().state == "scheduled"
    age(first.id, 20)
    second = enqueue_unique("a", unique=unique, arguments=[[2]])
    run = TaskRun.objects.get()
    assert second.id == first.id
    assert run.args == [2]
    assert 49 < (run.available_at - run.enqueued_at).total_seconds() < 60


def test_it_is_put_off_to_the_longest_wait_at_most() -> None:
    unique = Debounce(wait=30, longest=40)
    first = enqueue_unique("a", unique=unique, run_after=timedelta(seconds=30))
    age(first.id, 20)
    enqueue_unique("a", unique=unique)
    run = TaskRun.objects.get()
    assert run.available_at - run.enqueued_at == timedelta(seconds=40)
    assert run.state == "scheduled"


def test_after_the_longest_wait_it_is_ready_with_the_latest_arguments(store: Store) -> None:
    unique = Debounce(wait=30, longest=40)
    first = enqueue_unique("a", unique=unique, run_after=timedelta(seconds=30))
    age(first.id, 50)
    assert enqueue_unique("a", unique=unique, arguments=[[2]]).id == first.id
    run = TaskRun.objects.get()
    assert (run.state, run.args) == ("ready", [2])


def test_a_hundred_callers_make_one_run_with_the_last_arguments() -> None:
    """Case 17."""
    unique = Debounce(wait=30, longest=300)
    for number in range(100):
        enqueue_unique("a", unique=unique, arguments=[[number]], run_after=timedelta(seconds=30))
    run = TaskRun.objects.get()
    assert run.args == [99]
    assert run.available_at - run.enqueued_at >= timedelta(seconds=30)


# Housekeeping.


def forget_by_pruning(store: Store, ids: list[UUID]) -> None:
    assert store.prune(Rule("default", "successful", timedelta()), ids) == len(ids)


def forget_by_tidying(store: Store, ids: list[UUID]) -> None:
    TaskRun.objects.filter(id__in=ids).delete()
    assert store.forget_keys(None, 10) is None


@no_row_locks
@pytest.mark.parametrize("forget", [forget_by_pruning, forget_by_tidying])
def test_keys_are_deleted_without_waiting_for_who_takes_them_over(
    store: Store, worker: UUID, forget: Callable[[Store, list[UUID]], None]
) -> None:
    ids = enqueue_unique("a", "b", "c").ids
    for run in claimed(store, worker):
        attempt = Attempt(run, "a label")
        attempt.begin()
        succeed(store, attempt)
    key, new = key_of("b"), uuid4()
    with held_elsewhere(lambda: store._take_over({key: ids[1]}, {key: new})) as taken:
        assert taken == {key}
        elsewhere(lambda: forget(store, ids))
        assert UniqueKey.objects.get().key == key
    assert UniqueKey.objects.get().run == new


# What it costs.


def test_a_new_key_is_one_statement_more() -> None:
    with CaptureQueriesContext(connection) as asked:
        enqueue_unique("a")
    writes = [query["sql"] for query in asked if query["sql"].lstrip().startswith("INSERT")]
    assert len(writes) == 2


@pytest.mark.parametrize("unique", [KEEP, REFUSE])
def test_who_meets_one_that_only_stands_reads_twice_and_writes_nothing(unique: Unique) -> None:
    enqueue_unique("a")
    with CaptureQueriesContext(connection) as asked, suppress(KeyHeld):
        enqueue_unique("a", unique=unique)
    assert [query["sql"].split()[0] for query in asked] == ["SELECT", "SELECT"]


@pytest.mark.skipif("connection.vendor == 'mysql'", reason="There, who takes a key looks first")
def test_in_a_transaction_the_first_statement_writes() -> None:
    """On SQLite, a transaction that has read cannot write once somebody else has."""
    first = enqueue_unique("a")
    with transaction.atomic(), CaptureQueriesContext(connection) as asked:
        assert enqueue_unique("a").id == first.id
    words = [query["sql"].split()[0] for query in asked]
    assert words == ["SAVEPOINT", "INSERT", "SELECT", "SELECT", "RELEASE"]


class Ids(list[int]):
    """Counts how often somebody goes through all of them."""

    passes = 0

    def __iter__(self) -> Iterator[int]:
        self.passes += 1
        return super().__iter__()


def test_those_that_are_met_are_not_looked_for_among_all() -> None:
    def passes(count: int) -> int:
        names = [f"{count} {number}" for number in range(count)]
        enqueue_unique(*names, unique=REPLACE)
        new = new_runs(count)
        new.ids = ids = Ids(new.ids)
        call = Call(new, [*map(key_of, names)], REPLACE, SUPERSEDED)
        standing = store_of().enqueue_unique(call, store_of().enqueue)
        assert len(standing.met) == count
        return ids.passes

    assert passes(50) == passes(5)


@pytest.mark.parametrize("unique", [KEEP, WAITING, LATEST, SUPERSEDE])
def test_eight_callers_and_two_workers_agree(
    store: Store, new_worker: Callable[[], UUID], unique: Unique
) -> None:
    """Of each key, at most one run stands at any time; each id that is returned exists."""
    ended = Event()

    def call(number: int) -> list[UUID]:
        names = [f"key {at * 7 % 5}" for at in range(number, number + 30)]
        return [enqueue_unique(name, unique=unique).id for name in names]

    def work() -> None:
        worker = new_worker()
        while not ended.is_set():
            for run in claimed(store, worker):
                attempt = Attempt(run, "a label")
                attempt.begin()
                succeed(store, attempt)
            assert len(waiting() if unique is not KEEP else unfinished()) <= 5

    workers = [begin_elsewhere(work) for _ in range(2)]
    callers = [begin_elsewhere(partial(call, number)) for number in range(8)]
    try:
        ids = [run_id for caller in callers for run_id in caller.result(timeout=60)]
    finally:
        ended.set()
    for working in workers:
        working.result(timeout=60)
    assert {*ids} == {*TaskRun.objects.values_list("id", flat=True)}
    assert UniqueKey.objects.count() == 5


def waiting() -> list[TaskRun]:
    return [*TaskRun.objects.filter(state=RunState.READY)]


def test_what_is_locked_is_found_by_its_primary_key(store: Store) -> None:
    """Case 15: a key costs the same however many there are."""
    names = [f"key {number}" for number in range(3000)]
    for start in range(0, 3000, 1000):
        enqueue_unique(*names[start : start + 1000], unique=WAITING)
    analyze()
    for plan in plans(lambda: enqueue_unique("key 7", unique=LATEST), "SELECT"):
        if "taskrun" in plan.lower() or "uniquekey" in plan.lower():
            assert_no_scan(plan, "uniquekey")


def analyze() -> None:
    for model in (TaskRun, UniqueKey):
        table = connection.ops.quote_name(model._meta.db_table)
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {'TABLE ' if connection.vendor == 'mysql' else ''}{table}")
            cursor.fetchall() if connection.vendor == "mysql" else None
