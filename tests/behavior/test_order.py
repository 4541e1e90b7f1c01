"""Which run goes first, and which has to wait."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from taskworks import TaskResult, TaskResultStatus
from taskworks.duties.promote import promote
from taskworks.models import RunState, TaskRun
from taskworks.store import store
from taskworks.testing import clock, run_tasks
from tests import tasks
from tests.behavior import Enqueue, database_now, executed, rewrite, run_of, run_worker

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


def order_of(*arguments: str) -> list[str]:
    """The ids of the runs that a worker with one thread executes, in its order."""
    run_worker("--threads", "1", *arguments)
    begun = TaskRun.objects.filter(started_at__isnull=False).order_by("started_at")
    return [str(id_) for id_ in begun.values_list("id", flat=True)]


def ids(*results: TaskResult) -> list[str]:
    return [result.id for result in results]


def test_a_larger_priority_goes_first() -> None:
    low, high, none = [tasks.noop.using(priority=value).enqueue() for value in (-100, 100, 0)]
    assert order_of() == ids(high, none, low)


def test_of_equal_priority_the_first_enqueued_goes_first() -> None:
    results = [tasks.noop.enqueue(number) for number in range(4)]
    assert order_of() == ids(*results)


def test_priority_counts_for_more_than_the_time() -> None:
    first = tasks.noop.enqueue()
    urgent = tasks.noop.using(priority=1).enqueue()
    assert order_of() == ids(urgent, first)


def test_several_queues_are_one_order() -> None:
    last = tasks.noop.using(priority=-1).enqueue()
    second = tasks.send_mail.enqueue("b")
    first = tasks.noop.using(priority=1, queue_name="imports").enqueue()
    assert order_of() == ids(first, second, last)
    assert TaskRun.objects.successful().count() == 3


def test_what_becomes_due_goes_behind_what_is_ready() -> None:
    waited = tasks.noop.using(run_after=HOUR).enqueue()
    ready = tasks.noop.enqueue()
    rewrite(waited, available_at=store().read_clock() - HOUR, run_after=database_now())
    assert order_of() == ids(ready, waited)


def test_what_becomes_due_keeps_its_priority() -> None:
    waited = tasks.noop.using(run_after=HOUR, priority=1).enqueue()
    ready = tasks.noop.enqueue()
    rewrite(waited, available_at=database_now())
    assert order_of() == ids(waited, ready)


def test_what_was_promoted_earlier_goes_first() -> None:
    later, earlier = [tasks.noop.using(run_after=HOUR).enqueue() for _ in range(2)]
    for result, age in ((earlier, 1), (later, 2)):
        rewrite(result, available_at=store().read_clock() - HOUR * age)
        promote(store())
    assert order_of() == ids(earlier, later)


def test_a_storm_of_runs_given_back_does_not_overtake_new_work() -> None:
    storm = [tasks.noop.enqueue(number) for number in range(3)]
    for result in storm:
        rewrite(result, task_path="nowhere.task")
    run_worker()
    new = tasks.noop.enqueue("new")
    for result in storm:
        rewrite(result, task_path=tasks.noop.module_path, available_at=store().read_clock() - HOUR)
    assert order_of()[0] == new.id
    assert TaskRun.objects.successful().count() == 4


class TestRunAfter:
    @pytest.mark.parametrize("run_after", [HOUR, datetime(2100, 1, 1, tzinfo=UTC)])
    def test_makes_a_run_wait(self, enqueue: Enqueue, run_after: Any) -> None:
        result = executed(enqueue(tasks.noop.using(run_after=run_after)))
        assert result.status is TaskResultStatus.READY
        assert run_of(result).state == RunState.SCHEDULED
        assert result.started_at is None

    @pytest.mark.parametrize("run_after", [-HOUR, timedelta(0), datetime(2020, 1, 1, tzinfo=UTC)])
    def test_that_has_passed_makes_no_run_wait(self, enqueue: Enqueue, run_after: Any) -> None:
        result = enqueue(tasks.noop.using(run_after=run_after))
        assert run_of(result).state == RunState.READY
        assert executed(result).status is TaskResultStatus.SUCCESSFUL

    def test_lets_a_run_go_when_it_is_due(self, enqueue: Enqueue) -> None:
        result = enqueue(tasks.noop.using(run_after=HOUR))
        with clock() as moved:
            moved.advance(HOUR)
            assert [done.id for done in run_tasks()] == [result.id]

    def test_of_a_delay_counts_from_the_enqueueing_by_the_databases_clock(
        self, enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        delayed = tasks.noop.using(run_after=HOUR)
        moment = datetime(2050, 6, 1, 12, tzinfo=UTC)
        monkeypatch.setattr(type(store()), "read_clock", lambda store: moment)
        result = enqueue(delayed)
        assert result.task.run_after == moment + HOUR
        assert run_of(result).run_after == run_of(result).available_at == moment + HOUR
        assert result.enqueued_at == moment
        assert tasks.noop.get_result(result.id) == result

    def test_of_a_delay_stays_a_delay_in_the_task(self, enqueue: Enqueue) -> None:
        delayed = tasks.noop.using(run_after=HOUR)
        first = enqueue(delayed)
        rewrite(first, run_after=database_now())
        assert delayed.run_after == HOUR
        assert run_of(enqueue(delayed)).run_after > store().read_clock()

    def test_is_kept_to_the_microsecond(self, enqueue: Enqueue) -> None:
        moment = datetime(2100, 1, 1, 1, 2, 3, 456789, tzinfo=UTC)
        result = enqueue(tasks.noop.using(run_after=moment))
        assert run_of(result).run_after == moment
        assert tasks.noop.get_result(result.id).task.run_after == moment
