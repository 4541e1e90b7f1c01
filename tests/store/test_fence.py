"""Start, finish, release, postpone: written if the run is still ours, and not otherwise."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, OperationalError, transaction

from taskworks.exceptions import TaskNotFound
from taskworks.execution import Attempt, Postponed, Succeeded, failure, settle, settled_copy
from taskworks.models import TaskRun, Worker
from taskworks.store import Store
from tests.store.conftest import Enqueue

MINUTE = timedelta(minutes=1)
VERBS = ["start", "finish", "release"]


@pytest.fixture
def claimed(store: Store, enqueue: Enqueue, worker: UUID) -> Callable[..., list[TaskRun]]:
    def claimed(count: int = 1) -> list[TaskRun]:
        for _ in range(count):
            enqueue()
        return store.claim(worker, "default", ["default"], {"thread": count})

    return claimed


def row(run: TaskRun) -> dict[str, object]:
    return TaskRun.objects.filter(id=run.id).values().get()


def begun(run: TaskRun) -> Attempt:
    attempt = Attempt(run, "a label")
    attempt.begin()
    return attempt


def test_start_counts_the_attempt(store: Store, claimed: Callable[..., list[TaskRun]]) -> None:
    [run] = claimed()
    begun(run)
    assert store.start([run]) == {run.id}
    stored = TaskRun.objects.get(id=run.id)
    assert (stored.state, stored.attempts, stored.worker_ids) == ("running", 1, ["a label"])
    assert stored.started_at == stored.last_attempted_at >= stored.claimed_at >= stored.enqueued_at


@pytest.mark.parametrize("start_was_written", [True, False])
def test_finish_writes_the_start_as_well(
    store: Store, claimed: Callable[..., list[TaskRun]], *, start_was_written: bool
) -> None:
    [run] = claimed()
    attempt = begun(run)
    if start_was_written:
        store.start([run])
    settle(attempt, Succeeded({"sum": 3}))
    assert store.finish([run]) == {run.id}
    stored = TaskRun.objects.get(id=run.id)
    assert (stored.state, stored.return_value, stored.attempts) == ("successful", {"sum": 3}, 1)
    assert stored.worker_ids == ["a label"]
    assert stored.enqueued_at <= stored.started_at <= stored.finished_at <= store.read_clock()


def long_value(column: str, name: str) -> Any:
    text = name + "\N{SNOWMAN}" * 150_000
    if column == "messages":
        return [{"at": "2026-01-01T00:00:00+00:00", "level": "INFO", "text": text}]
    return {"text": text}


@pytest.mark.parametrize(
    ("verb", "column"),
    [("finish", "return_value"), ("write_progress", "metadata"), ("write_progress", "messages")],
)
def test_what_is_written_of_many_may_be_more_than_a_statement_holds(
    store: Store, claimed: Callable[..., list[TaskRun]], verb: str, column: str
) -> None:
    runs = claimed(20)
    for run in runs:
        if verb == "finish":
            settle(begun(run), Succeeded(None))
        setattr(run, column, long_value(column, str(run.id)))
    assert getattr(store, verb)(runs) == {run.id for run in runs}
    stored = dict(TaskRun.objects.values_list("id", column))
    assert stored == {run.id: getattr(run, column) for run in runs}


def test_many_finish_in_one_call_each_with_its_own_outcome(
    store: Store, claimed: Callable[..., list[TaskRun]]
) -> None:
    runs = claimed(20)
    for number, run in enumerate(runs):
        settle(begun(run), Succeeded(number) if number % 2 else failure(ValueError(number)))
    assert store.finish(runs) == {run.id for run in runs}
    for number, run in enumerate(runs):
        stored = TaskRun.objects.get(id=run.id)
        if number % 2:
            assert (stored.state, stored.return_value, stored.errors) == ("successful", number, [])
        else:
            assert (stored.state, stored.return_value) == ("failed", None)
            assert stored.errors[0]["traceback"].endswith(f"ValueError: {number}\n")


@pytest.mark.parametrize("verb", VERBS)
def test_a_wrong_token_writes_nothing_and_spares_its_neighbours(
    store: Store, claimed: Callable[..., list[TaskRun]], verb: str
) -> None:
    runs = claimed(3)
    for run in runs:
        settle(begun(run), Succeeded(None))
        run.state = {"start": "running", "finish": "successful", "release": "ready"}[verb]
    runs[1].claim_token = uuid4()
    before = row(runs[1])
    assert getattr(store, verb)(runs) == {runs[0].id, runs[2].id}
    assert row(runs[1]) == before
    assert TaskRun.objects.filter(state=runs[0].state).count() == 2


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("state", ["scheduled", "ready", "successful", "failed", "cancelled"])
def test_a_run_that_is_not_in_hand_is_not_written(
    store: Store, claimed: Callable[..., list[TaskRun]], verb: str, state: str
) -> None:
    [run] = claimed()
    settle(begun(run), failure(ValueError()))
    TaskRun.objects.update(state=state, claim_token=uuid4())
    before = row(run)
    assert getattr(store, verb)([run]) == set()
    assert row(run) == before


def test_a_finish_may_be_repeated_when_its_answer_was_lost(
    store: Store, claimed: Callable[..., list[TaskRun]]
) -> None:
    [run] = claimed()
    settle(begun(run), Succeeded(1))
    assert store.finish([run]) == {run.id}
    before = row(run)
    assert store.finish([run]) == {run.id}
    assert row(run) == before


def test_a_deleted_run_is_nobodys(store: Store, claimed: Callable[..., list[TaskRun]]) -> None:
    [run] = claimed()
    settle(begun(run), Succeeded(1))
    TaskRun.objects.all().delete()
    assert store.finish([run]) == set()
    assert TaskRun.objects.count() == 0


@pytest.mark.parametrize("start_was_written", [True, False])
def test_release_puts_a_run_back_as_it_was(
    store: Store, claimed: Callable[..., list[TaskRun]], *, start_was_written: bool
) -> None:
    [run] = claimed()
    before = row(run)
    attempt = begun(run)
    if start_was_written:
        store.start([run])
    assert store.release([settled_copy(attempt, attempt.abandon()).run]) == {run.id}
    changes = {"state": "ready", "claimed_by": None, "claim_token": None}
    # The attempt does not count, but the task may have used its arguments.
    changes |= {"last_attempted_at": attempt.run.last_attempted_at}
    assert row(run) == {**before, **changes}


def test_a_worker_that_was_rescued_from_cannot_finish(
    store: Store, claimed: Callable[..., list[TaskRun]], new_worker: Callable[[], UUID]
) -> None:
    [run] = claimed()
    begun(run)
    store.start([run])
    Worker.objects.update(given_up_at=store.read_clock())
    assert [rescued.id for rescued in store.rescue(10)] == [run.id]
    other = new_worker()
    [again] = store.claim(other, "default", ["default"], {"alone": 1})
    assert again.attempts == 1
    settle(begun(again), Succeeded("the second's"))
    zombie = Attempt(run, "zombie")
    settle(zombie, Succeeded("the zombie's"))
    assert store.finish([run]) == set()
    assert store.start([run]) == set()
    assert store.release([run]) == set()
    assert store.finish([again]) == {run.id}
    stored = TaskRun.objects.get(id=run.id)
    assert (stored.return_value, stored.attempts) == ("the second's", 2)


def test_a_postponed_run_is_scheduled_and_remembers_since_when(
    store: Store, claimed: Callable[..., list[TaskRun]], worker: UUID
) -> None:
    [run] = claimed()
    assert store.requeue([postponed(run)]) == {run.id}
    stored = TaskRun.objects.get(id=run.id)
    assert (stored.state, stored.attempts, stored.claim_token) == ("scheduled", 0, None)
    assert stored.available_at > store.read_clock() + MINUTE / 2
    since = stored.missing_since
    TaskRun.objects.update(available_at=store.read_clock())
    store.promote(10)
    [again] = store.claim(worker, "default", ["default"], {"thread": 1})
    assert store.requeue([run]) == set()
    assert store.requeue([postponed(again)]) == {run.id}
    assert TaskRun.objects.get(id=run.id).missing_since == since

    assert since is not None
    refused = postponed(again, OperationalError(1040, "Too many connections"))
    assert refused.missing_since is None  # its task is there


def postponed(run: TaskRun, reason: Exception | None = None) -> TaskRun:
    reason = reason or TaskNotFound("a.task", ImportError("a"))
    settle(Attempt(run, "a label"), Postponed(MINUTE, reason))
    return run


def test_the_database_itself_refuses_a_rank_out_of_range(enqueue: Enqueue) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        enqueue(rank=101)
