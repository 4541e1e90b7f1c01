"""Rates of limits, and ``context.hold``: what is declared, and what becomes of runs."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import ImproperlyConfigured

from taskworks import Limit, Snooze, TaskContext, TaskResult, TaskResultStatus
from taskworks.actions import limits as actions
from taskworks.control import change_limit, why_waiting
from taskworks.exceptions import InvalidTask
from taskworks.models import Bucket, TaskRun
from taskworks.models import Limit as LimitRow
from taskworks.options.declared_limits import limits_of_settings
from taskworks.options.limits import NUMBERS
from taskworks.options.rates import Rate
from taskworks.store import Store, store
from taskworks.testing import clock, run_tasks
from tests import rated
from tests.behavior import Settings, run_of, run_worker
from tests.connections import begin_elsewhere, held_elsewhere, wait_until_blocked

OF_NONE = dict.fromkeys(NUMBERS)

with_database = pytest.mark.django_db(transaction=True)


# What may be declared.


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"rate": "0/s"}, "rate of the limit 'new' must be 1 to 1000000 starts in .*, not '0/s'"),
        ({"rate": "1000000000/s"}, "rate of the limit 'new' must be 1 to 1000000 starts"),
        ({"rate": "20000/s"}, "must be at most 10000 starts a second, not '20000/s'"),
        ({"rate": "1/0m"}, "must be 1 to 1000000 starts"),
        ({"rate": "1/400d"}, "must be 1 to 1000000 starts in at most 366 days"),
        ({"rate": "100"}, "must be a number of starts and a time, such as '100/m'.*not '100'"),
        ({"rate": "100/y"}, "must be a number of starts and a time"),
        ({"rate": "100 / m"}, "must be a number of starts and a time"),
        ({"rate": "1e3/s"}, "must be a number of starts and a time"),
        ({"rate": "-1/s"}, "must be a number of starts and a time"),
        ({"rate": "\u0661/s"}, "must be a number of starts and a time"),
        ({"rate": ""}, "must be a number of starts and a time"),
        ({"rate": 100}, "must be a number of starts and a time.*not 100"),
        ({"rate": "9" * 5000 + "/s"}, "must be a number of starts and a time"),
        ({"total_rate": "0/s"}, "total_rate of the limit 'new' must be 1 to"),
        ({"rate": "1/s", "burst": 0}, "burst of the limit 'new' must be an integer from 1 to"),
        ({"rate": "1/s", "burst": -1}, "burst of the limit 'new' must be"),
        ({"rate": "1/s", "burst": 1.5}, "burst of the limit 'new' must be"),
        ({"rate": "1/s", "burst": float("nan")}, "burst of the limit 'new' must be"),
        ({"rate": "1/s", "burst": True}, "burst of the limit 'new' must be"),
        ({"rate": "1/s", "burst": 10**7}, "burst of the limit 'new' must be"),
        (
            {"rate": "1/d", "burst": 10**6},
            "burst of the limit 'new' must be fewer: at 1/d",
        ),
        ({"burst": 5}, "burst of the limit 'new' needs a rate"),
        ({"rate": "1/s", "total_burst": 5}, "total_burst of the limit 'new' needs a total_rate"),
    ],
)
def test_bad_rates_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidTask, match=sentence):
        Limit("new", **options)


@pytest.mark.any_database
def test_rates_may_be_declared_in_settings(settings: Settings) -> None:
    settings.TASKWORKS = {"LIMITS": {"mailer": {"rate": "100/m", "burst": 10}}}
    assert limits_of_settings() == {"mailer": Limit("mailer", rate="100/m", burst=10)}
    settings.TASKWORKS = {"LIMITS": {"mailer": {"rate": "100/x"}}}
    with pytest.raises(ImproperlyConfigured, match=r"\['mailer'\]: rate of the limit 'mailer'"):
        limits_of_settings()


@with_database
def test_rates_may_be_changed_and_stay_so() -> None:
    actions.synchronize()
    row = change_limit("slow", rate="5/m", burst=None, total_rate="10/m", total_burst=2)
    assert row.rate_in_force == Rate(5, 60_000_000, 1)
    actions.synchronize()
    row = LimitRow.objects.get(name="slow")
    assert (row.rate, row.burst, row.total_rate, row.total_burst) == ("5/m", None, "10/m", 2)
    assert row.changed == {"rate": "1/h", "burst": 2, "total_rate": None, "total_burst": None}
    for numbers in ({"rate": "x"}, {"burst": 0}, {"rate": "1/d", "burst": 10**6}):
        with pytest.raises(ValueError, match="of the limit 'slow' must be"):
            change_limit("slow", **numbers)  # type: ignore[arg-type]
    assert LimitRow.objects.get(name="slow").rate == "5/m"


@with_database
def test_what_two_people_change_at_once_fits_together() -> None:
    actions.synchronize()
    change_limit("slow", rate="100/m")
    with held_elsewhere(lambda: change_limit("slow", rate="1/d")):
        second = begin_elsewhere(lambda: change_limit("slow", burst=10**6))
        wait_until_blocked()
    with pytest.raises(ValueError, match="burst of the limit 'slow' must be fewer: at 1/d"):
        second.result(60)
    row = LimitRow.objects.get(name="slow")
    assert (row.rate, row.burst) == ("1/d", 2)
    assert row.rate_in_force == Rate(1, 86_400_000_000, 2)


@with_database
def test_a_changed_burst_that_does_not_fit_to_a_new_rate_is_given_up() -> None:
    store().declare_limit("slow", {**OF_NONE, "rate": "100/m", "burst": 5, "at_once": 2})
    change_limit("slow", burst=10**6, at_once=3)
    store().declare_limit("slow", {**OF_NONE, "rate": "1/d", "burst": 5, "at_once": 2})
    row = LimitRow.objects.get(name="slow")
    assert (row.rate, row.burst, row.at_once) == ("1/d", 5, 3)


@with_database
def test_nonsense_in_a_row_does_not_keep_a_limit_from_being_declared() -> None:
    actions.synchronize()
    LimitRow.objects.filter(name="slow").update(rate="nonsense")
    store().declare_limit("slow", {**OF_NONE, "rate": "1/h", "burst": 10**4})
    change_limit("slow", burst=5)
    assert LimitRow.objects.get(name="slow").burst == 5


# What becomes of runs.


@with_database
def test_a_batch_waits_for_a_rate() -> None:
    rated.call_api.enqueue_many([["a"]] * 6 + [["b"]] * 2)
    run_worker()
    assert TaskRun.objects.successful().count() == 8
    runs = TaskRun.objects.filter(lane="a").order_by("claimed_at")
    moments = [run.last_attempted_at for run in runs]
    assert moments[-1] - moments[0] > timedelta(seconds=0.09)  # type: ignore[operator]


@with_database
def test_a_batch_does_not_wait_for_an_hour() -> None:
    rated.call_slowly.enqueue_many([["a"]] * 3)
    run_worker()
    assert TaskRun.objects.successful().count() == 2
    assert TaskRun.objects.ready().count() == 1


@pytest.mark.django_db
def test_in_a_test_what_is_rated_stays_until_the_clock_is_moved() -> None:
    rated.call_slowly.enqueue_many([["a"]] * 4)
    with clock() as moved:
        assert len(run_tasks()) == 2
        assert run_tasks() == []
        moved.advance(hours=1)
        assert len(run_tasks()) == 1
        moved.advance(hours=1)
        assert len(run_tasks()) == 1


# A hold.


def is_untouched(result: TaskResult) -> bool:
    run = run_of(result)
    return (run.state, run.attempts, run.failures, run.errors) == ("scheduled", 0, 0, [])


@with_database
@pytest.mark.parametrize(
    "task",
    [
        rated.be_told_to_wait,
        rated.be_told_async,
        rated.be_told_in_a_process,
        rated.be_told_in_a_transaction,
        rated.be_told_while_writing,
    ],
    ids=lambda task: task.name,
)
def test_a_hold_closes_the_key_and_gives_the_attempt_back(task: Any) -> None:
    actions.synchronize()
    change_limit("held", at_once=1)
    first = task.using(priority=1).enqueue("a", "an hour")
    second, other = task.enqueue("a"), task.enqueue("b")
    run_worker("--task-processes", "1")
    assert is_untouched(first)
    assert run_of(second).state == "ready"
    assert run_of(other).state == "successful"
    [bucket] = Bucket.objects.all()
    assert bucket.held_until == run_of(first).available_at
    written = TaskRun.objects.filter(task_path="tests.tasks.noop").count()
    assert written == (1 if "transaction" in task.name or "writing" in task.name else 0)


@pytest.mark.django_db
def test_after_a_hold_its_runs_go_on() -> None:
    first = rated.be_told_to_wait.enqueue("a", "an hour")
    rated.be_told_to_wait.enqueue("b")
    with clock() as moved:
        run_tasks()
        second = rated.be_told_to_wait.enqueue("a")
        assert run_tasks() == []
        assert why_waiting(second) == "No worker is running."
        moved.advance(hours=1)
        store().hold_keys("held", {"b": store().read_clock() + timedelta(hours=1)})
        [one, other] = run_tasks()
    # The first comes behind the one that was ready, and holds the key again.
    assert one.id == second.id
    assert other.id == first.id
    assert is_untouched(first)


@with_database
def test_of_two_runs_that_hold_a_key_the_longer_hold_stands() -> None:
    for waits in (["an hour", "a long hour"], ["a long hour", "an hour"]):
        TaskRun.objects.all().delete()
        Bucket.objects.all().delete()
        results = [rated.be_told_to_wait.enqueue("a", wait) for wait in waits]
        run_worker()
        [bucket] = Bucket.objects.all()
        assert bucket.held_until == max(run_of(result).available_at for result in results)


@with_database
def test_the_key_is_closed_before_the_run_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    held = []
    requeue = Store.requeue

    def note_and_requeue(self: Store, runs: Sequence[TaskRun]) -> set[UUID]:
        held.append(Bucket.objects.get().held_until)
        return requeue(self, runs)

    monkeypatch.setattr(Store, "requeue", note_and_requeue)
    result = rated.be_told_to_wait.enqueue("a", "an hour")
    run_worker()
    assert held == [run_of(result).available_at]


@with_database
@pytest.mark.parametrize("wait", ["before", "nan", "infinite", "years", "text", "true"])
def test_bad_seconds_fail_the_attempt_and_hold_nothing(wait: str) -> None:
    result = rated.be_told_to_wait.enqueue("a", wait)
    run_worker()
    [error] = run_of(result).errors
    assert "hold() must be seconds or a timedelta, from 0 to 31 days, not" in error["traceback"]
    assert not Bucket.objects.exists()


@with_database
def test_a_hold_of_nothing_is_a_snooze() -> None:
    result = rated.be_told_to_wait.enqueue("a", "nothing")
    run_worker("--max-tasks", "1")
    assert (run_of(result).state, run_of(result).attempts) == ("ready", 0)


@with_database
def test_a_run_without_a_limit_cannot_hold() -> None:
    result = rated.hold_nothing.enqueue()
    run_worker()
    [error] = run_of(result).errors
    assert error["exception_class_path"] == "builtins.RuntimeError"
    assert "this run has no limit. Give the task one, limit=Limit(...)" in error["traceback"]
    limited = rated.hold_nothing.using(limit="of all").enqueue()
    run_worker()
    assert is_untouched(limited)


@pytest.mark.any_database
def test_where_nothing_is_stored_a_hold_is_a_snooze_and_the_run_fails_with_it() -> None:
    result = rated.be_told_at_once.enqueue("a")
    assert result.status is TaskResultStatus.FAILED
    assert issubclass(result.errors[0].exception_class, Snooze)
    result = rated.hold_nothing_at_once.enqueue()
    assert result.errors[0].exception_class is RuntimeError
    with pytest.raises(Snooze):
        rated.be_told_to_wait.call(TaskContext(task_result=result, _limit="held"), "a", "an hour")
