"""``self.request``, retries, time limits, and what becomes of them."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from taskworks.celery import AsyncResult, NotCarried, states
from taskworks.celery.exceptions import MaxRetriesExceededError, Retry
from taskworks.exceptions import TaskException, TaskTimeout
from taskworks.models import TaskRun
from tests.behavior import run_worker
from tests.celery import tasks
from tests.celery.tasks import BusyError

pytestmark = pytest.mark.django_db(transaction=True)


def delay_of(result: AsyncResult[Any]) -> float:
    """Return the seconds from the last attempt to the next one."""
    run = TaskRun.objects.get(id=result.id)
    return (run.available_at - run.last_attempted_at).total_seconds()


def make_due() -> None:
    TaskRun.objects.scheduled().update(available_at=timezone.now() - timedelta(hours=1))


def executed(result: AsyncResult[Any]) -> AsyncResult[Any]:
    """Let a worker execute it, again and again, until it has finished."""
    for _ in range(10):
        run_worker()
        if result.ready():
            return result
        make_due()
    raise AssertionError(result.state)


def test_the_request() -> None:
    result = tasks.about.delay(1, b=2)
    run_worker()
    said = result.get()
    assert said.pop("hostname") == TaskRun.objects.get().worker_ids[0]
    assert said == {
        "name": "tests.celery.tasks.about",
        "id": result.id,
        "args": [1],
        "kwargs": {"b": 2},
        "retries": 0,
        "called_directly": False,
        "is_eager": False,
        "delivery_info": {
            "exchange": "",
            "routing_key": "default",
            "priority": 0,
            "redelivered": False,
        },
        "root_id": result.id,
        "absent": "nothing",
    }


def test_a_call_within_a_task_has_a_request_of_its_own() -> None:
    result = tasks.outer.delay()
    run_worker()
    assert result.get() == [True, None, False]


def test_retry() -> None:
    tasks.calls.clear()
    result = tasks.stubborn.delay()
    run_worker()
    assert (result.state, result.ready(), str(result.result)) == (
        states.RETRY,
        False,
        "Retry in 7 s: BusyError('busy')",
    )
    assert "BusyError: busy" in str(result.traceback)
    assert 6.5 < delay_of(result) < 20
    executed(result)
    assert tasks.calls == [0, 1, 2]
    with pytest.raises(BusyError, match=r"^busy$"):
        result.get()
    assert (result.state, result.failed(), result.retries) == (states.FAILURE, True, 3)


@pytest.mark.parametrize(("most", "attempts"), [(0, 1), (4, 5)])
def test_retry_may_have_a_limit_of_its_own(most: int, attempts: int) -> None:
    tasks.calls.clear()
    executed(tasks.stubborn.delay(countdown=0, most=most))
    assert tasks.calls == [*range(attempts)]


def test_retries_that_are_used_up_without_an_exception() -> None:
    with pytest.raises(MaxRetriesExceededError, match=r"Can't retry tests.celery.tasks.hopeless\["):
        executed(tasks.hopeless.delay()).get()


def test_retry_at_a_moment() -> None:
    eta = timezone.now() + timedelta(days=30)
    result = tasks.later.delay(eta.isoformat())
    run_worker()
    assert abs(TaskRun.objects.get().available_at - eta) < timedelta(minutes=5)
    assert executed(result).get() == "done"


def test_retry_at_a_moment_that_is_over_or_has_no_time_zone() -> None:
    over = tasks.later.delay((timezone.now() - timedelta(days=3)).isoformat())
    naive = tasks.later.delay("2100-01-01T12:00:00")
    run_worker()
    assert executed(over).get() == "done"
    with pytest.raises(ValueError, match=r"eta of retry\(\) has no time zone: 2100-01-01T12:00"):
        naive.get()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"args": [1]}, r"The argument args=\[1\] of retry\(\) is not carried. A run keeps"),
        ({"throw": False}, "throw=False"),
        ({"queue": "mail"}, "queue='mail'"),
    ],
)
def test_retry_with_what_is_not_carried(given: Any, sentence: str) -> None:
    result = tasks.of_another.delay(**given)
    run_worker()
    with pytest.raises(NotCarried, match=sentence):
        result.get()


def test_retry_outside_of_a_run() -> None:
    with pytest.raises(BusyError):
        tasks.stubborn()
    with pytest.raises(Retry, match="hopeless was called as a function, outside of a run"):
        tasks.hopeless()


def test_a_run_that_a_person_retries_has_all_its_retries_again() -> None:
    result = executed(tasks.stubborn.delay(countdown=0))
    assert result.run is not None
    result.run.retry()
    tasks.calls.clear()
    executed(result)
    assert tasks.calls == [0, 1, 2]


def test_autoretry() -> None:
    tasks.calls.clear()
    result = tasks.carried.delay("busy")
    delays = []
    for _ in range(3):
        run_worker()
        delays.append(round(delay_of(result)))
        make_due()
    executed(result)
    assert delays == [2, 4, 5]
    assert tasks.calls == ["busy"] * 4
    with pytest.raises(BusyError):
        result.get()


@pytest.mark.parametrize("kind", ["closed", "value"])
def test_no_autoretry_for_other_exceptions(kind: str) -> None:
    tasks.calls.clear()
    result = tasks.carried.delay(kind)
    run_worker()
    assert (result.state, tasks.calls) == (states.FAILURE, [kind])


def test_retry_kwargs() -> None:
    assert executed(tasks.once_more.delay()).retries == 2


def test_what_retry_has_given_up_is_not_retried_automatically() -> None:
    tasks.calls.clear()
    assert executed(tasks.gives_up.delay()).state == states.FAILURE
    assert tasks.calls == [0, 1]


def test_retries_without_a_limit() -> None:
    assert executed(tasks.patient.delay()).get() == 5


def test_jitter_is_between_nothing_and_the_whole() -> None:
    from taskworks.celery.options import CeleryOptions

    options = CeleryOptions(name="x", retry_backoff=1)
    delays = {options.autoretry(3)["countdown"] for _ in range(500)}
    assert (min(delays), max(delays)) == (0, 8)
    assert CeleryOptions(name="x", retry_backoff=1).autoretry(100)["countdown"] <= 600


def test_retries_can_be_set_in_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.stubborn, "max_retries", 0)
    tasks.calls.clear()
    tasks.stubborn.apply()
    assert tasks.calls == [0]


def test_apply_ignores_how_it_would_be_enqueued() -> None:
    assert tasks.add.apply((1,), queue="nowhere", countdown=5, expires=1).get() == 2
    with pytest.raises(NotCarried, match="link"):
        tasks.add.apply((1,), link=tasks.double)


def test_a_time_limit_can_be_caught() -> None:
    assert executed(tasks.endless.delay()).get() == "stopped"


@pytest.mark.parametrize("task", [tasks.endless_again, tasks.endless_by_hand])
def test_a_time_limit_is_retried(task: Any) -> None:
    result = task.delay()
    run_worker()
    assert result.state == states.RETRY
    assert 3500 < delay_of(result) < 3700


def test_a_time_limit_that_is_not_caught() -> None:
    result = tasks.endless_once.delay()
    run_worker()
    with pytest.raises(TaskTimeout, match="longer than"):
        result.get()


def test_a_result_that_is_ignored_may_be_anything() -> None:
    result = tasks.instance.delay()
    run_worker()
    assert (result.state, result.get()) == (states.SUCCESS, None)


def test_a_result_that_is_not_json_is_a_failure() -> None:
    result = tasks.unstorable.delay()
    run_worker()
    with pytest.raises(TypeError, match="Unsupported type"):
        result.get()


@pytest.mark.parametrize("key", ["blue", 7])
def test_get_raises_what_the_task_raised(key: Any) -> None:
    result = tasks.missing.delay(key)
    run_worker()
    with pytest.raises(KeyError) as raised:
        result.get()
    assert raised.value.args == (key,)
    assert "KeyError" in str(result.traceback)


def test_a_task_that_exits_does_not_end_who_asks_for_its_result() -> None:
    result = tasks.leave.delay()
    run_worker()
    assert result.state == states.FAILURE
    with pytest.raises(TaskException, match="SystemExit: 3"):
        result.get()


def test_get_in_a_task() -> None:
    result = tasks.waiting_for_another.delay()
    run_worker()
    with pytest.raises(RuntimeError, match="within a task"):
        result.get()
    of_a_group = tasks.waiting_for_others.delay()
    run_worker()
    with pytest.raises(RuntimeError, match="within a task"):
        of_a_group.get()


def test_coroutine_functions_and_child_processes() -> None:
    first, second = tasks.coroutine.delay(4), tasks.in_a_process.delay(Decimal("1.5"))
    executed(second)
    assert (first.get(), second.get()) == (4, Decimal("2.5"))


# Where it is called.


def test_apply_executes_here() -> None:
    result = tasks.about.apply((1,), {"b": 2})
    said = result.get()
    assert (said["is_eager"], said["called_directly"], said["id"]) == (True, False, result.id)
    assert (result.state, result.successful()) == (states.SUCCESS, True)
    assert tasks.coroutine.apply((4,)).get() == 4


def test_apply_retries_without_waiting() -> None:
    tasks.calls.clear()
    result = tasks.stubborn.apply()
    assert (tasks.calls, result.state) == ([0, 1, 2], states.FAILURE)
    assert "BusyError: busy" in str(result.traceback)
    with pytest.raises(BusyError):
        result.get()
    with pytest.raises(BusyError):
        tasks.stubborn.apply(throw=True)
    assert isinstance(result.get(propagate=False), BusyError)


def test_retries_without_a_limit_end_where_nobody_waits_between_them(settings: Any) -> None:
    result = tasks.impatient.apply()
    assert result.state == states.FAILURE
    with pytest.raises(RecursionError, match="1000 times where it was called"):
        result.get()
    immediate = {"BACKEND": "taskworks.backends.immediate.ImmediateBackend", "QUEUES": []}
    settings.TASKS = {**settings.TASKS, "default": immediate}
    assert tasks.impatient.delay().state == states.FAILURE


def test_the_immediate_backend_is_celery_s_eager_mode(settings: Any) -> None:
    immediate = {"BACKEND": "taskworks.backends.immediate.ImmediateBackend", "QUEUES": []}
    settings.TASKS = {**settings.TASKS, "default": immediate}
    assert tasks.add.delay(1).get() == 2
    assert tasks.add.apply_async((1,), countdown=60, expires=5).get() == 2
    assert tasks.charge.delay(Decimal(3)).get() == "3.00"
    said = tasks.about.delay(1).get()
    assert (said["is_eager"], said["called_directly"]) == (True, False)
    tasks.calls.clear()
    result = tasks.stubborn.delay()
    assert (tasks.calls, result.state) == ([0, 1, 2], states.FAILURE)
    with pytest.raises(BusyError):
        result.get()
