"""Cancellation of what waits, and the request to cancel what a worker has."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction

from taskworks import (
    Retry,
    Snooze,
    TaskCancelled,
    TaskContext,
    TaskResult,
    TaskResultStatus,
    task,
    task_backends,
)
from taskworks.duties.rescue import rescue
from taskworks.exceptions import TaskResultDoesNotExist
from taskworks.execution import Attempt, Outcome, Released, Retried, Snoozed, Succeeded, failure
from taskworks.models import RunState, TaskRun, Worker
from taskworks.signals import (
    task_cancelled,
    task_enqueued,
    task_finished,
    task_retried,
    task_started,
)
from taskworks.store import store
from tests import tasks
from tests.behavior import (
    backend_class,
    database_now,
    executed,
    received,
    rewrite,
    run_of,
    run_worker,
)
from tests.connections import begin_elsewhere, elsewhere, held_elsewhere
from tests.recording.in_hand import new_ledger, submit

pytestmark = pytest.mark.django_db(transaction=True)

FAILED, READY = TaskResultStatus.FAILED, TaskResultStatus.READY
MINUTE = timedelta(minutes=1)
MISSING = [str(uuid4()), "", "123", "no uuid", "\0", "\ud800", None, 5]

Act = Callable[[TaskResult], bool]


@task(takes_context=True)
def cancel_itself_and(context: TaskContext, then: str) -> str:
    """Ask for its own cancellation, elsewhere, and then do what is told."""
    elsewhere(lambda: task_backends["default"].cancel(context.task_result.id))
    match then:
        case "fail":
            raise ValueError
        case "retry":
            raise Retry(after=0)
        case "snooze":
            raise Snooze(after=0)
    return "done"


@task
def raise_cancelled() -> None:
    raise TaskCancelled("by itself")


@pytest.fixture(params=["result", "result, async", "backend"])
def cancel(request: pytest.FixtureRequest) -> Act:
    """Every way to cancel a run."""

    def cancel(result: TaskResult) -> bool:
        match request.param:
            case "result":
                return result.cancel()
            case "result, async":
                return async_to_sync(result.acancel)()
        cancelled: bool = task_backends[result.backend].cancel(result.id)
        result.refresh()
        return cancelled

    return cancel


def worker() -> UUID:
    row = Worker(id=uuid4(), label="of a test", hostname="here", pid=1)
    store().register(row)
    return row.id


def claimed(result: TaskResult) -> Attempt:
    """The run, in the hands of a worker of this test."""
    [run] = store().claim(worker(), "default", ["default", "mail"], {"thread": 1})
    assert str(run.id) == result.id
    return Attempt(run, "a label")


def begun(result: TaskResult) -> Attempt:
    attempt = claimed(result)
    attempt.begin()
    store().start([attempt.run])
    return attempt


def recorded(attempt: Attempt, outcome: Outcome) -> None:
    """As a worker records it, in a connection of its own."""

    def record() -> None:
        attempt.task = tasks.noop
        ledger = new_ledger()
        submit(ledger, [attempt])
        ledger.settle(attempt, outcome)
        ledger.record()

    elsewhere(record)


def waiting(kind: str) -> TaskResult:
    if kind == "scheduled":
        return tasks.noop.using(run_after=timedelta(hours=1)).enqueue()
    if kind == "ready":
        return tasks.noop.enqueue()
    return executed(tasks.fail.using(max_attempts=2, backoff=3600).enqueue())


@pytest.mark.parametrize("kind", ["scheduled", "ready", "to be retried"])
class TestARunThatWaits:
    def test_is_cancelled_at_once(self, cancel: Act, kind: str) -> None:
        result = waiting(kind)
        assert cancel(result) is True
        assert run_of(result).state == RunState.CANCELLED
        assert (result.status, result.is_cancelled, result.is_finished) == (FAILED, True, True)
        assert result.cancel_requested
        assert result.enqueued_at <= result.finished_at <= store().read_clock()

    def test_never_starts(self, cancel: Act, kind: str) -> None:
        result = waiting(kind)
        before = (result.attempts, result.started_at, result.worker_ids)
        cancel(result)
        rewrite(result, available_at=database_now())
        executed(result)
        assert (result.attempts, result.started_at, result.worker_ids) == before
        assert result.is_cancelled

    def test_says_so_in_an_error_of_its_own(self, cancel: Act, kind: str) -> None:
        result = waiting(kind)
        before = run_of(result).errors
        cancel(result)
        *others, entry = run_of(result).errors
        assert others == before
        assert (entry["attempt"], entry["worker_id"]) == (len(before), None)
        assert result.errors[-1].exception_class is TaskCancelled
        assert result.errors[-1].traceback == (
            "taskworks.exceptions.TaskCancelled: The run was cancelled before it began.\n"
        )
        assert run_of(result).failures == len(before)

    def test_sends_its_signals_once(self, cancel: Act, kind: str) -> None:
        result = waiting(kind)
        order: list[Any] = []
        with ExitStack() as stack:
            others = [
                stack.enter_context(received(signal))
                for signal in (task_enqueued, task_started, task_retried)
            ]
            finished = stack.enter_context(received(task_finished))
            cancelled = stack.enter_context(received(task_cancelled))
            order += [finished, cancelled]
            cancel(result)
            cancel(result)
        for sent in order:
            [signal] = sent
            assert signal["sender"] is backend_class()
            assert signal["task_result"] == result
            assert signal["task_result"].is_cancelled
        assert others == [[], [], []]

    def test_is_cancelled_only_once(self, cancel: Act, kind: str) -> None:
        result = waiting(kind)
        assert cancel(result)
        before = run_of(result)
        assert cancel(result) is False
        assert run_of(result).errors == before.errors
        assert run_of(result).finished_at == before.finished_at


@pytest.mark.parametrize("state", [RunState.SUCCESSFUL, RunState.FAILED, RunState.CANCELLED])
def test_a_finished_run_cannot_be_cancelled(cancel: Act, state: RunState) -> None:
    result = tasks.noop.enqueue()
    rewrite(result, state=state, finished_at=database_now())
    before = TaskRun.objects.values().get()
    with received(task_finished) as finished, received(task_cancelled) as cancelled:
        assert cancel(result) is False
    assert TaskRun.objects.values().get() == before
    assert finished == cancelled == []


@pytest.mark.parametrize("result_id", MISSING, ids=lambda value: f"{value!r:.10}")
@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_an_unknown_id_is_refused(verb: str, result_id: Any) -> None:
    with pytest.raises(TaskResultDoesNotExist):
        getattr(task_backends["default"], verb)(result_id)


@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_another_backends_id_is_refused(verb: str) -> None:
    result = tasks.noop.using(backend="other").enqueue()
    with pytest.raises(TaskResultDoesNotExist):
        getattr(task_backends["default"], verb)(result.id)
    assert run_of(result).state == RunState.READY


@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_a_deleted_run_is_refused(verb: str) -> None:
    result = tasks.noop.enqueue()
    TaskRun.objects.all().delete()
    with pytest.raises(TaskResultDoesNotExist):
        getattr(result, verb)()


@pytest.mark.parametrize("alias", ["immediate", "dummy"])
@pytest.mark.parametrize("verb", ["cancel", "retry"])
@pytest.mark.parametrize("twin", ["", "a"])
def test_a_backend_that_stores_nothing_cannot(alias: str, verb: str, twin: str) -> None:
    result = tasks.noop.using(backend=alias).enqueue()
    method = getattr(result, f"{twin}{verb}")
    with pytest.raises(NotImplementedError, match=rf"^The backend '{alias}' \(.*\) cannot {verb} "):
        async_to_sync(method)() if twin else method()


class TestARunInHand:
    @pytest.mark.parametrize("take", [claimed, begun])
    def test_is_asked_to_stop(self, cancel: Act, take: Any) -> None:
        result = tasks.noop.enqueue()
        attempt = take(result)
        with received(task_finished) as finished, received(task_cancelled) as cancelled:
            assert cancel(result) is True
        assert (result.cancel_requested, result.is_cancelled) == (True, False)
        assert not result.is_finished
        assert run_of(result).state in {RunState.CLAIMED, RunState.RUNNING}
        assert store().to_cancel(attempt.run.claimed_by) == {attempt.run.id}
        assert finished == cancelled == []

    def test_keeps_the_time_of_the_first_request(self, cancel: Act) -> None:
        result = tasks.noop.enqueue()
        begun(result)
        cancel(result)
        first = run_of(result).cancel_requested_at
        assert first is not None
        assert cancel(result) is True
        assert run_of(result).cancel_requested_at == first

    @pytest.mark.parametrize("take", [claimed, begun])
    def test_may_still_succeed(self, take: Any) -> None:
        result = tasks.noop.enqueue()
        attempt = take(result)
        result.cancel()
        if take is claimed:
            attempt.begin()
        recorded(attempt, Succeeded(5))
        result.refresh()
        assert (result.status, result.return_value) == (TaskResultStatus.SUCCESSFUL, 5)
        assert not result.is_cancelled

    @pytest.mark.parametrize("take", [claimed, begun])
    @pytest.mark.parametrize(
        ("outcome", "errors"),
        [
            (failure(ValueError("x")), [ValueError, TaskCancelled]),
            (Retried(ValueError(), failure(ValueError("x")).entry, MINUTE), [ValueError, None]),
            (Retried(ValueError(), failure(ValueError("x")).entry, 0 * MINUTE), [ValueError, None]),
            (Snoozed(MINUTE), [None]),
            (Released(), [None]),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_is_cancelled_whatever_else_becomes_of_it(
        self, take: Any, outcome: Outcome, errors: list[Any]
    ) -> None:
        result = tasks.noop.enqueue()
        attempt = take(result)
        result.cancel()
        if take is claimed:
            attempt.begin()
        with (
            received(task_finished) as finished,
            received(task_cancelled) as cancelled,
            received(task_retried) as retried,
        ):
            recorded(attempt, outcome)
        result.refresh()
        assert (result.status, result.is_cancelled) == (FAILED, True)
        assert result.finished_at is not None
        kinds = [error.exception_class for error in result.errors]
        assert kinds == [kind or TaskCancelled for kind in errors]
        assert [len(finished), len(cancelled), len(retried)] == [1, 1, 0]
        assert executed(result).is_cancelled

    @pytest.mark.parametrize(
        ("verb", "state"),
        [
            ("finish", "failed"),
            ("requeue", "scheduled"),
            ("requeue", "ready"),
            ("release", "ready"),
        ],
    )
    def test_is_not_given_back_by_any_verb(self, verb: str, state: str) -> None:
        result, neighbour = tasks.noop.using(priority=1).enqueue(), tasks.noop.enqueue()
        attempt, other = begun(result), begun(neighbour)
        result.cancel()
        for run in (attempt.run, other.run):
            run.state = state
        before = TaskRun.objects.filter(id=result.id).values().get()
        written = elsewhere(lambda: getattr(store(), verb)([attempt.run, other.run]))
        assert written == {other.run.id}
        assert TaskRun.objects.filter(id=result.id).values().get() == before
        assert elsewhere(lambda: store().asked_to_cancel([attempt.run])) == {attempt.run.id}

    def test_of_a_zombie_is_not_its_own_to_cancel(self) -> None:
        result = tasks.noop.enqueue()
        attempt = begun(result)
        result.cancel()
        attempt.run.claim_token = uuid4()
        assert store().asked_to_cancel([attempt.run]) == set()

    def test_of_a_dead_worker_is_cancelled(self) -> None:
        result, neighbour = tasks.noop.using(priority=1).enqueue(), tasks.noop.enqueue()
        begun(result)
        begun(neighbour)
        result.cancel()
        Worker.objects.update(given_up_at=store().read_clock())
        rescue(store())
        result.refresh()
        assert (result.status, result.is_cancelled) == (FAILED, True)
        assert "its worker was lost" in result.errors[-1].traceback
        assert run_of(neighbour).state == RunState.READY

    @pytest.mark.parametrize("then", ["fail", "retry", "snooze"])
    def test_ends_as_cancelled_in_a_real_worker(self, then: str) -> None:
        result = executed(cancel_itself_and.using(max_attempts=5, backoff=0).enqueue(then))
        assert (result.status, result.is_cancelled) == (FAILED, True)
        assert result.attempts <= 1

    def test_succeeds_all_the_same_in_a_real_worker(self) -> None:
        result = executed(cancel_itself_and.enqueue("succeed"))
        assert result.return_value == "done"
        assert (result.is_cancelled, result.cancel_requested) == (False, True)


def test_a_task_may_cancel_its_own_run() -> None:
    with received(task_cancelled) as cancelled, received(task_retried) as retried:
        result = executed(raise_cancelled.using(max_attempts=5, backoff=0).enqueue())
    assert (result.is_cancelled, result.attempts) == (True, 1)
    assert result.errors[0].exception_class is TaskCancelled
    assert (len(cancelled), retried) == (1, [])


class TestATransaction:
    def test_that_is_rolled_back_cancels_nothing(self) -> None:
        result = tasks.noop.enqueue()
        with transaction.atomic():
            assert result.cancel()
            transaction.set_rollback(True)
        assert run_of(result).state == RunState.READY

    def test_may_cancel_what_it_has_enqueued(self) -> None:
        with transaction.atomic():
            result = tasks.noop.enqueue()
            assert result.cancel()
        assert executed(result).is_cancelled

    @pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
    def test_is_waited_for_and_heeded(self) -> None:
        """A claim that is under way: whoever cancels meets it claimed."""
        result = tasks.noop.enqueue()
        id_ = worker()
        with held_elsewhere(lambda: store().claim(id_, "default", ["default"], {"thread": 1})):
            cancelling = begin_elsewhere(result.cancel)
        assert cancelling.result(timeout=30)
        run = run_of(result)
        assert run.state == RunState.CLAIMED
        assert run.cancel_requested_at is not None

    @pytest.mark.skipif(connection.vendor != "mysql", reason="others say so, or see the present")
    def test_that_sees_the_past_cancels_what_was_claimed_meanwhile(self) -> None:
        result, id_ = tasks.noop.enqueue(), worker()
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        try:
            with transaction.atomic():
                assert run_of(result).state == RunState.READY
                elsewhere(lambda: store().claim(id_, "default", ["default"], {"thread": 1}))
                assert run_of(result).state == RunState.READY
                assert result.cancel()
        finally:
            connection.close()
        assert run_of(result).cancel_requested_at is not None


def test_a_race_of_cancel_and_claim_has_one_winner() -> None:
    """Each run is cancelled and was never claimed, or is claimed and asked to stop."""
    count = 60
    results = tasks.noop.enqueue_many([(number,) for number in range(count)])
    id_, both_begin = worker(), threading.Barrier(2)

    def cancel_all() -> list[bool]:
        both_begin.wait(timeout=30)
        return [task_backends["default"].cancel(result.id) for result in results]

    def claim_all() -> list[TaskRun]:
        both_begin.wait(timeout=30)
        taken: list[TaskRun] = []
        while TaskRun.objects.ready().exists():
            taken += store().claim(id_, "default", ["default"], {"thread": 1})
        return taken

    cancelling, claiming = begin_elsewhere(cancel_all), begin_elsewhere(claim_all)
    assert cancelling.result(timeout=50) == [True] * count
    claimed_ids = {run.id for run in claiming.result(timeout=50)}
    cancelled = set(TaskRun.objects.filter(state=RunState.CANCELLED).values_list("id", flat=True))
    assert not claimed_ids & cancelled
    assert len(claimed_ids | cancelled) == count
    assert store().to_cancel(id_) == claimed_ids
    assert all(run.claim_token is None for run in TaskRun.objects.filter(id__in=cancelled))


def test_a_race_of_two_cancellations_has_one_winner() -> None:
    results = tasks.noop.enqueue_many([(number,) for number in range(30)])
    both_begin = threading.Barrier(2)

    def cancel_all() -> list[bool]:
        both_begin.wait(timeout=30)
        return [task_backends["default"].cancel(result.id) for result in results]

    with received(task_cancelled) as cancelled:
        first, second = begin_elsewhere(cancel_all), begin_elsewhere(cancel_all)
        won = zip(first.result(timeout=50), second.result(timeout=50), strict=True)
        assert all(a != b for a, b in won)
    assert len(cancelled) == len(results)
    assert all(len(run.errors) == 1 for run in TaskRun.objects.all())


def test_a_batch_leaves_cancelled_runs_alone() -> None:
    results = tasks.noop.enqueue_many([(number,) for number in range(4)])
    for result in results[:2]:
        result.cancel()
    run_worker()
    states = [run_of(result).state for result in results]
    assert states == ["cancelled", "cancelled", "successful", "successful"]
