"""Waiting for runs: ``wait``, ``await_``, ``wait_for``, ``await_for``."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from taskworks import TaskResult, TaskResultStatus, await_for, wait_for
from taskworks.exceptions import TaskResultDoesNotExist
from taskworks.models import RunState, TaskRun
from tests import tasks
from tests.behavior import database_now, executed, rewrite, run_worker
from tests.connections import begin_elsewhere

pytestmark = pytest.mark.django_db(transaction=True)

Wait = Callable[..., list[TaskResult]]


def await_one(result: TaskResult, timeout: float | None = None) -> list[TaskResult]:
    return [async_to_sync(result.await_)(timeout)]


def wait_for_one(result: TaskResult, timeout: float | None = None) -> list[TaskResult]:
    return [result.wait(timeout)]


def await_all(results: Any, timeout: float | None = None) -> list[TaskResult]:
    return async_to_sync(await_for)(results, timeout)


@pytest.fixture(params=["sync", "async"])
def wait(request: pytest.FixtureRequest) -> Wait:
    """Both ways to wait for many."""
    return wait_for if request.param == "sync" else await_all


@pytest.fixture(params=["sync", "async"])
def wait_one(request: pytest.FixtureRequest) -> Wait:
    """Both ways to wait for one."""
    return wait_for_one if request.param == "sync" else await_one


class Clock:
    """Time passes when somebody sleeps, and not otherwise."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def finish(result: TaskResult, **columns: Any) -> None:
    """As if a worker had finished it."""
    done = {"state": RunState.SUCCESSFUL, "finished_at": database_now(), **columns}
    rewrite(result, **done)


class TestOne:
    def test_that_has_finished_is_given_back_refreshed(self, wait_one: Wait) -> None:
        result = tasks.add.enqueue(1, 2)
        executed(tasks.add.get_result(result.id))
        assert result.status is TaskResultStatus.READY
        [again] = wait_one(result)
        assert again is result
        assert result.return_value == 3

    @pytest.mark.parametrize("state", [RunState.FAILED, RunState.CANCELLED])
    def test_that_failed_has_finished_too(self, wait_one: Wait, state: RunState) -> None:
        result = tasks.noop.enqueue()
        finish(result, state=state)
        wait_one(result)
        assert result.status is TaskResultStatus.FAILED

    def test_that_is_known_to_have_finished_costs_no_query(self, wait_one: Wait) -> None:
        result = executed(tasks.noop.enqueue())
        with CaptureQueriesContext(connection) as captured:
            wait_one(result, 5)
        assert captured.captured_queries == []

    def test_is_waited_for_until_a_worker_has_finished_it(self, wait_one: Wait) -> None:
        result = tasks.add.enqueue(1, 2)
        looked = TaskRun.objects.filter(id=result.id)
        working = begin_elsewhere(lambda: looked.update(state="successful", return_value=3))
        wait_one(result, 30)
        working.result(timeout=30)
        assert result.return_value == 3

    @pytest.mark.parametrize("timeout", [0, 0.05, 0.3])
    def test_that_does_not_finish_in_time_is_an_error(self, wait_one: Wait, timeout: float) -> None:
        result = tasks.noop.enqueue()
        began = time.monotonic()
        with pytest.raises(
            TimeoutError,
            match=rf"^1 of 1 runs have not finished within {timeout} s, such as {result.id}\.$",
        ):
            wait_one(result, timeout)
        assert time.monotonic() - began >= timeout

    @pytest.mark.parametrize("timeout", [-1, float("nan"), "5", True])
    def test_for_what_is_no_time_is_refused(self, wait_one: Wait, timeout: Any) -> None:
        with pytest.raises(ValueError, match=r"^timeout must be seconds or a timedelta"):
            wait_one(tasks.noop.enqueue(), timeout)

    def test_that_has_finished_is_found_without_any_time(self, wait_one: Wait) -> None:
        result = tasks.noop.enqueue()
        finish(result)
        wait_one(result, 0)
        assert result.is_finished

    @pytest.mark.parametrize("state", ["scheduled", "ready", "claimed", "running"])
    def test_that_is_under_way_has_not_finished(self, wait_one: Wait, state: str) -> None:
        result = tasks.noop.enqueue()
        rewrite(result, state=state)
        with pytest.raises(TimeoutError):
            wait_one(result, 0)

    def test_that_is_deleted_is_gone(self, wait_one: Wait) -> None:
        result = tasks.noop.enqueue()
        TaskRun.objects.all().delete()
        with pytest.raises(TaskResultDoesNotExist, match=result.id):
            wait_one(result, 5)


class TestMany:
    def test_are_given_back_in_order(self, wait: Wait) -> None:
        results = tasks.add.enqueue_many([(number, 1) for number in range(5)])
        run_worker()
        assert wait(iter(results)) == results
        assert [result.return_value for result in results] == [1, 2, 3, 4, 5]

    def test_may_be_none(self, wait: Wait) -> None:
        with CaptureQueriesContext(connection) as captured:
            assert wait([]) == []
        assert captured.captured_queries == []

    def test_may_be_of_several_tasks_and_backends(self, wait: Wait) -> None:
        results: list[Any] = [
            tasks.add.enqueue(1, 2),
            tasks.noop.using(backend="other").enqueue(),
            tasks.add.using(backend="immediate").enqueue(3, 4),
        ]
        run_worker()
        run_worker("--backend", "other")
        assert [result.return_value for result in wait(results, 5)] == [3, None, 7]

    def test_may_be_the_same_twice(self, wait: Wait) -> None:
        result = tasks.noop.enqueue()
        again = tasks.noop.get_result(result.id)
        finish(result)
        wait([result, again, result], 5)
        assert result.is_finished
        assert again.is_finished

    def test_cost_one_query_a_look(self) -> None:
        results = tasks.noop.enqueue_many([(number,) for number in range(500)])
        finish(results[0])
        with CaptureQueriesContext(connection) as captured, pytest.raises(TimeoutError):
            wait_for(results, 0)
        assert len(captured) == 2  # who has finished, and the results of those
        with CaptureQueriesContext(connection) as captured, pytest.raises(TimeoutError):
            wait_for(results, 0)
        assert len(captured) == 1

    def test_are_asked_for_ever_more_rarely(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = Clock()
        monkeypatch.setattr("taskworks.polling.time", clock)
        results = tasks.noop.enqueue_many([(number,) for number in range(50)])
        with CaptureQueriesContext(connection) as captured, pytest.raises(TimeoutError):
            wait_for(results, 10)
        *pauses, last, none = clock.slept
        assert pauses[0] == 0.02
        for earlier, later in pairwise(pauses):
            assert later == pytest.approx(min(1.5 * earlier, 1))
        assert pauses[-1] == 1 >= last
        assert none == 0
        assert len(captured) == len(clock.slept) <= 20

    def test_of_thousands_are_found(self, wait: Wait) -> None:
        results = tasks.noop.enqueue_many([(number,) for number in range(2500)])
        TaskRun.objects.update(state=RunState.SUCCESSFUL, finished_at=database_now())
        with CaptureQueriesContext(connection) as captured:
            wait(results, 10)
        assert all(result.is_finished for result in results)
        assert len(captured) <= 6

    def test_that_do_not_finish_in_time_are_counted(self, wait: Wait) -> None:
        results = tasks.noop.enqueue_many([(number,) for number in range(3)])
        finish(results[0])
        with pytest.raises(TimeoutError, match=rf"^2 of 3 runs .* such as {results[1].id}\.$"):
            wait(results, 0.05)
        assert results[0].is_finished

    def test_let_an_event_loop_go_on(self) -> None:
        result = tasks.noop.enqueue()

        async def wait_and_count() -> int:
            waiting = asyncio.create_task(await_for([result], 60))
            turns = 0
            while not waiting.done():
                turns += 1
                if turns == 5:
                    await sync_to_async(finish)(result)
                await asyncio.sleep(0.01)
            assert await waiting == [result]
            return turns

        assert async_to_sync(wait_and_count)() >= 5


class TestInATransaction:
    def test_is_refused(self, wait_one: Wait) -> None:
        result = tasks.noop.enqueue()
        with (
            transaction.atomic(),
            pytest.raises(
                RuntimeError, match=r"^Cannot wait for a run inside a transaction on 'default'"
            ),
        ):
            wait_one(result, 5)

    def test_what_has_finished_is_given_back(self, wait_one: Wait) -> None:
        result = executed(tasks.noop.enqueue())
        with transaction.atomic():
            assert wait_one(result, 5) == [result]


@pytest.mark.django_db
class TestInATransactionOfATest:
    """Where every test is rolled back, its own transaction does not count."""

    def test_waiting_works(self, wait_one: Wait) -> None:
        assert connection.in_atomic_block
        result = tasks.noop.enqueue()
        finish(result)
        wait_one(result, 5)
        assert result.is_finished

    def test_waiting_in_a_transaction_of_its_own_is_refused(self, wait_one: Wait) -> None:
        result = tasks.noop.enqueue()
        with transaction.atomic(), pytest.raises(RuntimeError, match="Wait after the commit"):
            wait_one(result, 5)


class TestOtherBackends:
    def test_that_execute_at_once_have_finished(self, wait_one: Wait) -> None:
        result = tasks.add.using(backend="immediate").enqueue(1, 2)
        assert wait_one(result, 0) == [result]

    def test_that_execute_nothing_are_waited_for_in_vain(self, wait_one: Wait) -> None:
        result = tasks.add.using(backend="dummy").enqueue(1, 2)
        with pytest.raises(TimeoutError, match="1 of 1 runs"):
            wait_one(result, 0.05)


def test_a_run_that_is_retried_is_waited_for_again() -> None:
    result = executed(tasks.fail.enqueue())
    result.retry()
    with pytest.raises(TimeoutError):
        result.wait(0)
    run_worker()
    assert result.wait(5).attempts == 2


def test_a_scheduled_run_is_waited_for_too() -> None:
    result = tasks.noop.using(run_after=timedelta(hours=1)).enqueue()
    with pytest.raises(TimeoutError):
        result.wait(0.05)


def test_a_timeout_is_in_real_seconds_while_a_test_has_stopped_the_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As freezegun does: ``time.sleep`` sleeps on, and ``time.monotonic`` stands still."""
    result = tasks.noop.enqueue()
    pauses: list[float] = []

    def sleep(seconds: float, really: Callable[[float], None] = time.sleep) -> None:
        assert len(pauses) < 100, "it would never end"
        pauses.append(seconds)
        really(seconds)

    monkeypatch.setattr(time, "monotonic", lambda: 5.0)
    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.raises(TimeoutError, match=r"within 0\.1 s"):
        result.wait(timeout=0.1)
