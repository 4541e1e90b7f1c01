"""What becomes of a dead worker's runs: executed alone, or lost; whoever writes first has them."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection

from taskworks.execution import (
    Attempt,
    Cancelled,
    Crashed,
    Poisoned,
    Retried,
    Snoozed,
    Succeeded,
    settle,
)
from taskworks.models import TaskRun, Worker
from taskworks.options.policy import Policy
from taskworks.store import Store
from tests.connections import begin_elsewhere, held_elsewhere
from tests.settings import DATABASE
from tests.store.conftest import Enqueue

ENTRY = {"exception_class_path": "taskworks.exceptions.TaskLost", "traceback": "lost\n"}
MINUTE = timedelta(minutes=1)
ALL = {"thread": 10, "process": 10, "async": 10, "alone": 10}
Claimed = Callable[..., TaskRun]


@pytest.fixture
def claimed(store: Store, enqueue: Enqueue, worker: UUID) -> Claimed:
    """A run in the hands of a worker that dies as soon as ``Worker`` has no rows."""

    def claimed(*, started: bool = False, **fields: object) -> TaskRun:
        enqueue(**fields)
        [run] = store.claim(worker, "default", ["default"], ALL)
        if started:
            begun(run)
            assert store.start([run]) == {run.id}
        return run

    return claimed


def begun(run: TaskRun, executor: str = "thread") -> Attempt:
    attempt = Attempt(run, "a label")
    attempt.policy = Policy(executor=executor)
    attempt.begin()
    return attempt


def stored(run: TaskRun) -> TaskRun:
    return TaskRun.objects.get(id=run.id)


@pytest.mark.parametrize("started", [True, False])
@pytest.mark.parametrize("executor", ["thread", "process", "async", "alone"])
def test_whatever_was_in_hand_is_executed_alone(
    store: Store, claimed: Claimed, executor: str, *, started: bool
) -> None:
    run = claimed(started=started, executor=executor)
    Worker.objects.all().delete()
    [rescued] = store.rescue(10)
    row = stored(run)
    assert (row.state, row.executor, row.attempts) == ("ready", "alone", int(started))
    assert (rescued.id, rescued.state, rescued.claim_token) == (row.id, "ready", None)
    assert (row.claimed_by, row.crashes, row.failures, row.errors) == (None, 0, 0, [])


def test_at_most_once_and_begun_is_failed_as_lost(store: Store, claimed: Claimed) -> None:
    run = claimed(started=True, at_most_once=True)
    Worker.objects.all().delete()
    assert store.rescue(10) == []
    assert [lost.id for lost in store.fail_lost(10, ENTRY)] == [run.id]
    assert store.fail_lost(10, ENTRY) == store.rescue(10) == []
    row = stored(run)
    assert (row.state, row.attempts, row.failures) == ("failed", 1, 0)
    assert row.finished_at >= row.started_at
    [entry] = row.errors
    assert entry == {
        **ENTRY,
        "attempt": 1,
        "began": row.started_at.isoformat(),
        "at": entry["at"],
        "worker_id": None,
    }


def test_at_most_once_and_not_begun_comes_back_as_it_was(store: Store, claimed: Claimed) -> None:
    run = claimed(at_most_once=True)
    Worker.objects.all().delete()
    assert store.fail_lost(10, ENTRY) == []
    assert [rescued.id for rescued in store.rescue(10)] == [run.id]
    row = stored(run)
    assert (row.state, row.executor, row.attempts) == ("ready", "thread", 0)


@pytest.mark.parametrize("at_most_once", [True, False])
def test_who_wants_it_cancelled_is_heeded_first(
    store: Store, claimed: Claimed, *, at_most_once: bool
) -> None:
    run = claimed(started=True, at_most_once=at_most_once)
    store.cancel(run.id, ENTRY)
    Worker.objects.all().delete()
    assert store.rescue(10) == store.fail_lost(10, ENTRY) == []
    assert [cancelled.id for cancelled in store.cancel_lost(10, ENTRY)] == [run.id]


def test_a_start_may_be_repeated_when_its_answer_was_lost(store: Store, claimed: Claimed) -> None:
    run = claimed(started=True)
    before = stored(run)
    assert store.start([run]) == {run.id}
    assert stored(run).started_at == before.started_at
    assert stored(run).attempts == 1


@pytest.mark.parametrize("at_most_once", [True, False])
def test_of_a_start_and_a_rescue_one_has_the_run(
    store: Store, claimed: Claimed, *, at_most_once: bool
) -> None:
    for _ in range(10):
        run = claimed(at_most_once=at_most_once)
        begun(run)
        Worker.objects.all().delete()
        starting = begin_elsewhere(lambda run=run: store.start([run]))
        rescuing = begin_elsewhere(lambda: [*store.rescue(10), *store.fail_lost(10, ENTRY)])
        started, rescued = starting.result(timeout=30), rescuing.result(timeout=30)
        row = stored(run)
        if at_most_once and started:
            assert (row.state, rescued) in [("running", []), ("failed", [run])]
        else:
            assert row.state == ("ready" if rescued else "running")
            assert bool(rescued) or started
        TaskRun.objects.all().delete()
        Worker.objects.create(
            id=run.claimed_by, pid=1, started_at=row.enqueued_at, heartbeat_at=row.enqueued_at
        )


@pytest.mark.parametrize("at_most_once", [True, False])
def test_a_finish_that_is_not_committed_yet_is_not_rescued(
    store: Store, claimed: Claimed, *, at_most_once: bool
) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time.")
    run = claimed(started=True, at_most_once=at_most_once)
    attempt = Attempt(run, "a label")
    settle(attempt, Succeeded("done"))
    Worker.objects.all().delete()
    with held_elsewhere(lambda: store.finish([run])):
        assert store.rescue(10) == []
        losing = begin_elsewhere(lambda: store.fail_lost(10, ENTRY))
    assert losing.result(timeout=30) == []
    assert (stored(run).state, stored(run).return_value) == ("successful", "done")


def test_a_finish_after_the_rescue_changes_nothing(store: Store, claimed: Claimed) -> None:
    run = claimed(started=True, at_most_once=True)
    Worker.objects.all().delete()
    store.fail_lost(10, ENTRY)
    before = stored(run)
    zombie = Attempt(run, "a label")
    settle(zombie, Succeeded("done"))
    assert store.finish([run]) == set()
    after = stored(run)
    assert (after.state, after.return_value, after.errors) == ("failed", None, before.errors)


class TestASuspect:
    @pytest.fixture
    def suspect(self, store: Store, claimed: Claimed, new_worker: Callable[[], UUID]) -> Attempt:
        claimed(started=True)
        Worker.objects.all().delete()
        store.rescue(10)
        [run] = store.claim(new_worker(), "default", ["default"], {"alone": 1})
        return begun(run, executor="async")

    def test_that_crashes_is_a_suspect_still(self, store: Store, suspect: Attempt) -> None:
        settle(suspect, Crashed(ValueError(), ENTRY))
        assert store.requeue([suspect.run]) == {suspect.run.id}
        row = stored(suspect.run)
        assert (row.state, row.executor, row.crashes, row.failures) == ("ready", "alone", 1, 0)
        assert (row.attempts, len(row.errors)) == (2, 1)

    def test_that_is_poison_is_failed(self, store: Store, suspect: Attempt) -> None:
        suspect.run.crashes = 2
        settle(suspect, Poisoned(ValueError(), ENTRY))
        assert store.poison([suspect.run]) == {suspect.run.id}
        assert store.poison([suspect.run]) == {suspect.run.id}
        row = stored(suspect.run)
        assert (row.state, row.executor, row.crashes, row.failures) == ("failed", "alone", 3, 0)

    @pytest.mark.parametrize(
        "outcome", [Retried(ValueError(), ENTRY, MINUTE), Snoozed(MINUTE)], ids=["retry", "snooze"]
    )
    def test_that_ends_otherwise_is_innocent(
        self, store: Store, suspect: Attempt, outcome: Retried | Snoozed
    ) -> None:
        settle(suspect, outcome)
        store.requeue([suspect.run])
        assert (stored(suspect.run).state, stored(suspect.run).executor) == ("scheduled", "async")

    def test_is_acquitted_by_a_person(self, store: Store, suspect: Attempt) -> None:
        suspect.run.crashes = 2
        settle(suspect, Poisoned(ValueError(), ENTRY))
        store.poison([suspect.run])
        assert store.retry(suspect.run.id, "async")
        row = stored(suspect.run)
        assert (row.state, row.executor, row.crashes) == ("ready", "async", 0)
        assert len(row.errors) == 1

    def test_that_somebody_wants_cancelled_does_not_come_back(
        self, store: Store, suspect: Attempt
    ) -> None:
        store.cancel(suspect.run.id, ENTRY)
        settle(suspect, Crashed(ValueError(), ENTRY))
        assert store.requeue([suspect.run]) == set()
        settle(suspect, Cancelled(ValueError(), ENTRY))
        assert store.finish([suspect.run]) == {suspect.run.id}

    def test_whose_worker_dies_is_one_again_and_has_not_crashed(
        self, store: Store, suspect: Attempt
    ) -> None:
        store.start([suspect.run])
        Worker.objects.all().delete()
        store.rescue(10)
        row = stored(suspect.run)
        assert (row.state, row.executor, row.crashes, row.attempts) == ("ready", "alone", 0, 2)


def test_a_thousand_are_rescued_in_chunks(store: Store, enqueue: Enqueue, worker: UUID) -> None:
    for _ in range(30):
        enqueue()
    store.claim(worker, "default", ["default"], {"thread": 30})
    Worker.objects.all().delete()
    sizes = []
    while rescued := store.rescue(7):
        sizes.append(len(rescued))
    assert sizes == [7, 7, 7, 7, 2]
    assert TaskRun.objects.ready().filter(executor="alone").count() == 30


@pytest.mark.skipif(DATABASE == "sqlite", reason="SQLite locks no rows")
@pytest.mark.parametrize("is_cancelled", [False, True], ids=["lost", "cancelled"])
def test_one_that_another_session_holds_keeps_nobody_waiting(
    store: Store, claimed: Claimed, is_cancelled: bool
) -> None:
    held, free = [claimed(started=True, at_most_once=True) for _ in range(2)]
    if is_cancelled:
        TaskRun.objects.update(cancel_requested_at=store.read_clock())
    Worker.objects.all().delete()
    verb = store.cancel_lost if is_cancelled else store.fail_lost
    with held_elsewhere(lambda: list(TaskRun.objects.select_for_update().filter(id=held.id))):
        ended = begin_elsewhere(lambda: verb(10, ENTRY)).result(timeout=10)
        assert [run.id for run in ended] == [free.id]
    assert [run.id for run in verb(10, ENTRY)] == [held.id]
