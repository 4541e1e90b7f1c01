"""Runs of a paused task wait for the end of the pause, and come back to their old places."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from taskworks.duties.unblock import CHUNK, ParkedRuns, Unblocking, unblock_all
from taskworks.execution import Attempt, Parked, settle
from taskworks.models import Edge, Pause, RunState, TaskRun
from taskworks.models.pause import Scope
from taskworks.store import Store
from tests.connections import elsewhere
from tests.new_runs import new_runs
from tests.store.conftest import Enqueue

pytestmark = pytest.mark.django_db(transaction=True)

NOOP = Scope("task", "tests.tasks.noop")
ENTRY = {"exception_class_path": "builtins.OSError", "traceback": ""}
HOUR = timedelta(hours=1)


def paused(store: Store, **end: Any) -> UUID:
    return store.pause(NOOP, **{"until": None, "reason": "", "by": ""} | end).id


@pytest.fixture
def claim(store: Store, worker: UUID) -> Callable[..., list[TaskRun]]:
    def claim(number: int = 10) -> list[TaskRun]:
        return store.claim(worker, "default", ["default"], {"thread": number})

    return claim


Claim = Callable[..., list[TaskRun]]


def about_to_park(runs: list[TaskRun], pause: UUID) -> list[TaskRun]:
    for run in runs:
        settle(Attempt(run, "a label"), Parked(pause))
    return runs


def park(store: Store, runs: list[TaskRun], pause: UUID) -> set[UUID]:
    return store.park(about_to_park(runs, pause))


def row(run: UUID | TaskRun) -> TaskRun:
    return TaskRun.objects.get(id=run if isinstance(run, UUID) else run.id)


def states() -> list[str]:
    return [*TaskRun.objects.order_by("id").values_list("state", flat=True)]


def end_pause(store: Store, how: str) -> None:
    """In each of the ways in which one can end."""
    match how:
        case "resumed":
            assert store.resume(NOOP)
        case "over":
            Pause.objects.update(until=store.read_clock())
        case "deleted":
            Pause.objects.all().delete()


@pytest.mark.parametrize("how", ["resumed", "over", "deleted"])
def test_it_waits_and_comes_back_to_its_old_place(store: Store, claim: Claim, how: str) -> None:
    new = new_runs(3, expires=3600)
    store.enqueue(new)
    before = [row(one) for one in new.uuids]
    pause = paused(store)
    runs = claim()
    assert park(store, runs, pause) == {*new.uuids}
    assert states() == ["blocked"] * 3
    unblock_all(store)
    assert claim() == []
    assert all(row(one).is_parked for one in new.uuids)
    end_pause(store, how)
    unblock_all(store)
    for one in before:
        now = row(one)
        assert now.state == RunState.READY
        assert (now.available_at, now.expires_at) == (one.available_at, one.expires_at)
        assert (now.attempts, now.worker_ids, now.started_at) == (0, [], None)
        assert (now.claimed_by, now.claim_token) == (None, None)
    assert not Edge.objects.exists()
    assert [run.id for run in claim()] == [run.id for run in runs]


def test_its_counts_and_its_executor_stay(store: Store, claim: Claim) -> None:
    store.enqueue(new_runs())
    TaskRun.objects.update(attempts=2, failures=1, worker_ids=["one", "two"], crashes=1)
    [run] = claim()
    park(store, [run], paused(store))
    store.resume(NOOP)
    unblock_all(store)
    now = row(run)
    assert (now.attempts, now.failures, now.crashes) == (2, 1, 1)
    assert now.worker_ids == ["one", "two"]


def test_a_pause_that_is_replaced_keeps_its_runs(store: Store, claim: Claim) -> None:
    store.enqueue(new_runs())
    pause = paused(store)
    park(store, claim(), pause)
    assert paused(store, until=store.read_clock() + HOUR, by="anna") == pause
    unblock_all(store)
    assert states() == ["blocked"]
    Pause.objects.update(until=store.read_clock())
    assert paused(store) == pause  # before anybody has swept
    unblock_all(store)
    assert states() == ["blocked"]
    store.resume(NOOP)
    assert paused(store) != pause
    unblock_all(store)
    assert states() == ["ready"]  # and whoever claims it parks it for the new one


def test_who_parks_for_a_pause_that_has_just_ended_loses_nothing(
    store: Store, claim: Claim
) -> None:
    store.enqueue(new_runs())
    pause = paused(store)
    runs = about_to_park(claim(), pause)
    elsewhere(lambda: store.resume(NOOP))
    store.park(runs)
    assert states() == ["blocked"]
    unblock_all(store)
    assert states() == ["ready"]
    assert not Edge.objects.exists()


class Killed(BaseException):
    pass


@pytest.mark.parametrize("written", [0, 1], ids=["before the edges", "before the run"])
def test_a_worker_that_dies_in_between_leaves_nothing_behind(
    store: Store, claim: Claim, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    store.enqueue(new_runs(2))
    pause = paused(store)
    runs = about_to_park(claim(), pause)

    def die(*args: Any, **kwargs: Any) -> Any:
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(
            *((type(store), "_write", die) if written else (Store, "edges", property(die)))
        )
        with pytest.raises(Killed):
            store.park(runs)
    assert Edge.objects.count() == 2 * written
    assert states() == ["claimed"] * 2
    unblock_all(store)
    assert states() == ["claimed"] * 2
    store.workers.update(given_up_at=store.read_clock())
    store.rescue(10)
    assert states() == ["ready"] * 2
    store.workers.update(given_up_at=None)
    TaskRun.objects.update(executor="thread")
    assert park(store, claim(), pause) == {run.id for run in runs}
    unblock_all(store)
    assert states() == ["blocked"] * 2
    assert Edge.objects.count() == 2
    store.resume(NOOP)
    unblock_all(store)
    assert states() == ["ready"] * 2
    assert not Edge.objects.exists()


def test_a_sweep_between_the_two_statements_takes_no_edge_away(
    store: Store, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.enqueue(new_runs())
    pause = paused(store)
    runs = about_to_park(claim(), pause)
    write = type(store)._write

    def swept(self: Store, *args: Any, **kwargs: Any) -> Any:
        elsewhere(lambda: unblock_all(store))
        return write(self, *args, **kwargs)

    monkeypatch.setattr(type(store), "_write", swept)
    store.park(runs)
    unblock_all(store)
    assert states() == ["blocked"]


@pytest.mark.parametrize("end", ["ready", "running", "gone", "cancelled"])
def test_what_is_not_parked_any_more_leaves_no_edge(store: Store, claim: Claim, end: str) -> None:
    """Whatever a person, or another worker, has done to it."""
    store.enqueue(new_runs())
    [run] = claim()
    park(store, [run], paused(store))
    if end == "gone":
        TaskRun.objects.all().delete()
    elif end == "cancelled":
        assert store.cancel(run.id, ENTRY) == RunState.CANCELLED
    else:
        TaskRun.objects.update(state=end)
    unblock_all(store)
    assert Edge.objects.exists() == (end in ("ready", "running"))  # it may be parked again
    store.resume(NOOP)
    unblock_all(store)
    assert not Edge.objects.exists()
    assert states() == ([] if end == "gone" else [end])


def test_it_is_cancelled_retried_and_parked_again(store: Store, claim: Claim) -> None:
    store.enqueue(new_runs())
    [run] = claim()
    pause = paused(store)
    park(store, [run], pause)
    store.cancel(run.id, ENTRY)
    assert store.retry(run.id)
    assert park(store, claim(), pause) == {run.id}
    unblock_all(store)
    assert states() == ["blocked"]
    store.resume(NOOP)
    unblock_all(store)
    assert states() == ["ready"]


def test_only_a_run_that_is_still_ours_is_parked(store: Store, claim: Claim) -> None:
    store.enqueue(new_runs(3))
    pause = paused(store)
    ours, others, cancelled = about_to_park(claim(), pause)
    TaskRun.objects.filter(id=others.id).update(claim_token=uuid4())
    store.cancel(cancelled.id, ENTRY)
    assert store.park([ours, others, cancelled]) == {ours.id}
    assert states() == ["blocked", "claimed", "claimed"]


def test_a_run_that_somebody_has_locked_holds_up_no_worker(store: Store, claim: Claim) -> None:
    """The row is written outside of a transaction, in which the wait would not be limited."""
    store.enqueue(new_runs())
    runs = about_to_park(claim(), paused(store))
    seen: list[bool] = []
    apply = type(store)._apply
    with pytest.MonkeyPatch.context() as watched:
        watched.setattr(
            type(store),
            "_apply",
            lambda self, change: seen.append(connection.in_atomic_block) or apply(self, change),
        )
        store.park(runs)
    assert seen == [False]


def test_many_are_parked_and_freed_in_chunks(store: Store, claim: Claim) -> None:
    number = 30
    store.enqueue(new_runs(number))
    pause = paused(store)
    with CaptureQueriesContext(connection) as few:
        park(store, claim(3), pause)
    with CaptureQueriesContext(connection) as many:
        park(store, claim(number), pause)
    assert len(many) == len(few)
    store.resume(NOOP)
    parked = ParkedRuns(store)
    assert not parked.unblock()
    parked.note_resumed([pause, uuid4()])
    with pytest.MonkeyPatch.context() as small:
        small.setattr("taskworks.duties.unblock.CHUNK", 10)
        freed = []
        while parked.may_have_more:
            parked.unblock()
            freed.append(TaskRun.objects.ready().count())
    assert freed[:3] == [10, 20, 30]
    assert CHUNK == 1000
    assert not Edge.objects.exists()


def test_a_sweep_looks_at_runs_that_follow_others_behind_many_parked_ones(
    store: Store, enqueue: Enqueue, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskworks.duties.unblock.CHUNK", 2)
    store.enqueue(new_runs(9))
    park(store, claim(), paused(store))
    first, following = enqueue(), new_runs()
    store.block(following, [Edge(run=following.uuids[0], after=first.id)])
    TaskRun.objects.filter(id=first.id).update(state="successful")
    sweep = Unblocking(store)
    while sweep.step():
        pass
    assert row(following.uuids[0]).state == RunState.READY
    assert TaskRun.objects.blocked().count() == 9


def test_a_time_that_was_changed_to_a_later_one_counts(store: Store, claim: Claim) -> None:
    store.enqueue(new_runs())
    [run] = claim()
    park(store, [run], paused(store))
    later = store.read_clock() + HOUR
    TaskRun.objects.update(available_at=later)
    store.resume(NOOP)
    unblock_all(store)
    assert row(run).state == RunState.SCHEDULED
    assert row(run).available_at == later
