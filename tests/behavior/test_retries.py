"""Failed attempts and what follows: another attempt, a later one, or the end."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from taskworks import Backoff, Retry, Snooze, TaskContext, TaskResult, TaskResultStatus, task
from taskworks.models import RunState, TaskRun
from taskworks.store import store
from tests import tasks
from tests.behavior import (
    database_now,
    executed,
    not_in_celerys_child,
    raising,
    rewrite,
    run_of,
    run_worker,
)

pytestmark = pytest.mark.django_db(transaction=True)

FAILED, READY = TaskResultStatus.FAILED, TaskResultStatus.READY
SUCCESSFUL = TaskResultStatus.SUCCESSFUL


class CarrierError(Exception):
    """What may pass."""


class BusyError(CarrierError):
    """A kind of it."""


class GoneError(CarrierError):
    """Another kind, which does not pass."""


class Odd(type):
    def __instancecheck__(cls, instance: object) -> bool:
        raise RuntimeError("no answer")


class OddError(Exception, metaclass=Odd):
    """What nobody can tell whether it is."""


ERRORS: dict[str, Callable[[], BaseException]] = {
    "busy": BusyError,
    "carrier": CarrierError,
    "gone": GoneError,
    "value": ValueError,
    "exit": lambda: SystemExit(1),
    "keys": KeyboardInterrupt,
    "memory": MemoryError,
    "group": lambda: ExceptionGroup("two", [ValueError(1), CarrierError(2)]),
    "retry": Retry,
    "retry now": lambda: Retry("again", after=0),
    "retry in a minute": lambda: Retry("again", after=60),
    "retry in an hour": lambda: Retry("again", after=timedelta(hours=1)),
    "retry before": lambda: Retry("again", after=-1),
    "snooze": lambda: Snooze("early", after=60),
    "snooze now": lambda: Snooze("early", after=0),
    "snooze for an hour": lambda: Snooze("early", after=timedelta(hours=1)),
    "snooze before": lambda: Snooze("early", after=-1),
}


@task(takes_context=True)
def fail_by(context: TaskContext, *names: str) -> int:
    """Raise the first error in the first execution, and so on; then succeed."""
    told = context.metadata.setdefault("told", 0)
    context.metadata["told"] += 1
    context.save_metadata()
    if told < len(names):
        raise ERRORS[names[told]]()
    return context.attempt


@task(takes_context=True, executor="process")
def fail_by_in_a_process(context: TaskContext, *names: str) -> int:
    return fail_by.func(context, *names)


@task(takes_context=True)
async def fail_by_async(context: TaskContext, *names: str) -> int:
    told = context.metadata.setdefault("told", 0)
    context.metadata["told"] += 1
    await context.asave_metadata()
    if told < len(names):
        raise ERRORS[names[told]]()
    return context.attempt


@task(takes_context=True)
def note_attempt(context: TaskContext, path: str) -> None:
    with Path(path).open("a") as file:
        file.write(f"{context.attempt}\n")
    if context.attempt == 1:
        raise CarrierError


asked: list[tuple[BaseException, TaskResult]] = []
answers: list[Any] = []


def answer(exception: BaseException, task_result: TaskResult) -> Any:
    asked.append((exception, task_result))
    given = answers.pop(0)
    if isinstance(given, BaseException):
        raise given
    return given


@pytest.fixture(autouse=True)
def _nothing_asked() -> None:
    asked.clear()
    answers.clear()


def retrying(attempts: int = 3, **options: Any) -> Any:
    return fail_by.using(max_attempts=attempts, **{"backoff": 3600, **options})


def again(result: TaskResult, *arguments: str) -> TaskResult:
    """The result after the time has come for another attempt."""
    rewrite(result, available_at=database_now())
    return executed(result, *arguments)


def waits(result: TaskResult) -> float:
    """Seconds from now until it is due."""
    return (run_of(result).available_at - store().read_clock()).total_seconds()


def put_back(result: TaskResult) -> tuple[float, float]:
    """The least and the most seconds for which a worker may have put it back."""
    before = store().read_clock()
    executed(result)
    after, due = store().read_clock(), run_of(result).available_at
    return (due - after).total_seconds(), (due - before).total_seconds()


class TestMaxAttempts:
    def test_is_one_unless_it_is_said(self) -> None:
        result = executed(fail_by.enqueue("value"))
        assert (result.status, result.attempts, len(result.errors)) == (FAILED, 1, 1)
        assert run_of(result).failures == 1

    def test_of_one_run_with_one_id(self) -> None:
        result = executed(retrying().enqueue("value", "value"))
        assert (result.status, result.attempts) == (READY, 1)
        assert run_of(result).state == RunState.SCHEDULED
        again(result)
        assert (result.status, result.attempts, len(result.errors)) == (READY, 2, 2)
        again(result)
        assert (result.status, result.return_value, result.attempts) == (SUCCESSFUL, 3, 3)
        assert len(result.errors) == 2
        assert [str(run.id) for run in TaskRun.objects.all()] == [result.id]

    def test_is_where_it_ends(self) -> None:
        result = executed(retrying(attempts=2, backoff=0).enqueue("value", "busy", "value"))
        assert (result.status, result.attempts) == (FAILED, 2)
        assert [error.exception_class for error in result.errors] == [ValueError, BusyError]
        assert result.finished_at is not None

    @pytest.mark.parametrize("made", [fail_by_async, fail_by_in_a_process])
    def test_holds_for_every_executor(self, made: Any) -> None:
        enqueue = made.using(max_attempts=3, backoff=0).enqueue
        result = executed(enqueue("value", "busy"), "--task-processes", "1")
        assert (result.status, result.return_value, result.attempts) == (SUCCESSFUL, 3, 3)
        assert [error.exception_class for error in result.errors] == [ValueError, BusyError]

    @pytest.mark.parametrize("name", ["exit", "keys", "memory", "group", "value"])
    def test_counts_failures_of_every_kind(self, name: str) -> None:
        result = executed(retrying(attempts=2, backoff=0).enqueue(name))
        assert (result.status, result.attempts, len(result.errors)) == (SUCCESSFUL, 2, 1)

    def test_counts_a_result_that_is_no_json_and_may_be_repeated(self) -> None:
        repeated = tasks.return_object.using(max_attempts=3, backoff=0, retry_on=TypeError)
        result = executed(repeated.enqueue())
        assert (result.status, result.attempts, len(result.errors)) == (FAILED, 3, 3)

    def test_does_not_count_executions_that_a_crash_ended(self) -> None:
        result = retrying(attempts=2, backoff=0).enqueue("value", "value")
        rewrite(result, attempts=5, worker_ids=["x"] * 5)
        executed(result)
        assert (result.status, result.attempts, run_of(result).failures) == (FAILED, 7, 2)

    def test_runs_a_task_that_is_retried_once_more_not_twice(self, tmp_path: Path) -> None:
        path = tmp_path / "attempts"
        executed(note_attempt.using(max_attempts=5, backoff=0).enqueue(str(path)))
        assert path.read_text() == "1\n2\n"

    def test_does_not_retry_a_task_that_is_none(self) -> None:
        result = retrying().enqueue()
        rewrite(result, task_path="tests.tasks.gate")
        assert executed(result).status is FAILED


@pytest.mark.thorough_on_servers
class TestTheRecord:
    def test_has_an_error_for_each_failed_attempt(self) -> None:
        result = executed(
            retrying(attempts=4, backoff=0).enqueue("value", "busy"), "--worker-id=me"
        )
        first, second = run_of(result).errors
        assert [first["attempt"], second["attempt"]] == [1, 2]
        assert [first["worker_id"], second["worker_id"]] == ["me", "me"]
        assert first["exception_class_path"] == "builtins.ValueError"
        assert second["exception_class_path"] == f"{__name__}.BusyError"
        assert "in fail_by" in first["traceback"]
        moments = [datetime.fromisoformat(entry["at"]) for entry in (first, second)]
        assert result.started_at <= moments[0] <= moments[1] <= result.finished_at

    def test_names_the_worker_of_each_attempt(self) -> None:
        result = executed(retrying().enqueue("value"), "--worker-id=one")
        again(result, "--worker-id=two")
        assert result.worker_ids == ["one", "two"]
        assert [entry["worker_id"] for entry in run_of(result).errors] == ["one"]

    def test_has_the_first_start_and_the_latest(self) -> None:
        result = executed(retrying().enqueue("value"))
        first = result.started_at
        assert result.last_attempted_at == first
        again(result)
        assert result.started_at == first
        assert result.last_attempted_at > first

    def test_between_two_attempts_has_no_owner_and_no_end(self) -> None:
        run = run_of(executed(retrying().enqueue("value")))
        assert (run.claimed_by, run.claim_token, run.finished_at) == (None, None, None)
        assert (run.failures, run.attempts) == (1, 1)

    def test_shortens_older_tracebacks_to_what_was_raised(self) -> None:
        result = retrying(attempts=15, backoff=0).enqueue(*["value"] * 15)
        executed(result)
        errors = run_of(result).errors
        assert [entry["attempt"] for entry in errors] == [*range(1, 16)]
        assert [entry["traceback"] for entry in errors[:5]] == ["ValueError\n"] * 5
        assert all(entry["traceback"].startswith("Traceback (most") for entry in errors[5:])
        assert all(error.exception_class is ValueError for error in result.errors)

    def test_shortens_that_of_a_group_to_what_was_raised(self) -> None:
        result = raising.fail_with_group.using(max_attempts=11, backoff=0).enqueue(7)
        executed(result)
        first, *others = [entry["traceback"] for entry in run_of(result).errors]
        assert first == "ExceptionGroup: both (2 sub-exceptions)\n"
        assert all("KeyError" in traceback for traceback in others)

    def test_keeps_the_arguments_and_the_options(self) -> None:
        result = retrying(priority=3, queue_name="mail", timeout=60).enqueue("value")
        task_before = tasks_options(result)
        executed(result)
        again(result)
        assert result.args == ["value"]
        assert tasks_options(fail_by.get_result(result.id)) == task_before


def tasks_options(result: TaskResult) -> tuple[Any, ...]:
    made = result.task
    return (made.priority, made.queue_name, made.max_attempts, made.backoff, made.timeout)


@pytest.mark.thorough_on_servers
class TestWhichFailures:
    @pytest.mark.parametrize(
        ("options", "name", "attempts"),
        [
            ({}, "value", 2),
            ({"retry_on": CarrierError}, "carrier", 2),
            ({"retry_on": CarrierError}, "busy", 2),
            ({"retry_on": CarrierError}, "value", 1),
            ({"retry_on": BusyError}, "carrier", 1),
            ({"retry_on": (ValueError, BusyError)}, "busy", 2),
            ({"retry_on": ()}, "value", 1),
            ({"retry_on": Exception}, "exit", 1),
            ({"retry_on": SystemExit}, "exit", 2),
            ({"retry_on": ValueError}, "group", 1),
            ({"give_up_on": CarrierError}, "carrier", 1),
            ({"give_up_on": CarrierError}, "busy", 1),
            ({"give_up_on": CarrierError}, "value", 2),
            ({"give_up_on": BusyError}, "carrier", 2),
            ({"retry_on": CarrierError, "give_up_on": GoneError}, "gone", 1),
            ({"retry_on": CarrierError, "give_up_on": GoneError}, "busy", 2),
            ({"retry_on": GoneError, "give_up_on": CarrierError}, "gone", 1),
            ({"retry_on": ValueError, "give_up_on": ValueError}, "value", 1),
            ({"give_up_on": Exception}, "retry now", 2),
            ({"retry_on": ()}, "retry now", 2),
        ],
        ids=lambda value: str(value).replace(f"{__name__}.", ""),
    )
    def test_are_retried(self, options: dict[str, Any], name: str, attempts: int) -> None:
        result = executed(retrying(attempts=2, backoff=0, **options).enqueue(name))
        assert result.attempts == attempts
        assert result.status == (SUCCESSFUL if attempts == 2 else FAILED)

    @not_in_celerys_child
    def test_are_not_retried_if_a_class_breaks_when_it_is_asked(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        result = executed(retrying(retry_on=OddError).enqueue("value"))
        assert (result.status, result.attempts) == (FAILED, 1)
        assert result.errors[0].exception_class is ValueError
        assert "Deciding on a retry of run" in caplog.text


class TestBackoff:
    @pytest.mark.parametrize(
        ("given", "seconds"),
        [
            (3600, 3600),
            (0.5, 0.5),
            (timedelta(hours=2), 7200),
            (Backoff(initial=100, jitter=0), 100),
            (Backoff(initial=100, maximum=50, jitter=0), 50),
        ],
        ids=str,
    )
    def test_is_how_long_a_retry_waits(self, given: Any, seconds: float) -> None:
        result = retrying(backoff=given).enqueue("value")
        least, most = put_back(result)
        assert run_of(result).state == RunState.SCHEDULED
        assert least <= seconds <= most

    def test_is_by_default_ten_seconds_and_a_bit(self) -> None:
        least, most = put_back(fail_by.using(max_attempts=2).enqueue("value"))
        assert least <= 11
        assert most > 8

    def test_grows_with_the_failures(self) -> None:
        backoff = Backoff(initial=1000, factor=3, maximum=5000, jitter=0)
        result = retrying(attempts=5, backoff=backoff).enqueue(*["value"] * 4)
        found = []
        for _ in range(3):
            rewrite(result, available_at=database_now())
            executed(result)
            found.append(round(waits(result), -2))
        assert found == [1000, 3000, 5000]

    def test_does_not_grow_with_executions_that_were_no_failures(self) -> None:
        backoff = Backoff(initial=1000, factor=3, jitter=0)
        result = retrying(backoff=backoff).enqueue("value")
        rewrite(result, attempts=5, worker_ids=["x"] * 5)
        assert round(waits(executed(result)), -2) == 1000

    def test_of_nothing_makes_a_run_ready_at_once(self) -> None:
        result = executed(retrying(backoff=0).enqueue("value"), "--max-tasks", "1")
        assert run_of(result).state == RunState.READY

    def test_is_kept_while_it_lasts(self) -> None:
        result = executed(retrying().enqueue("value"))
        executed(result)
        assert result.attempts == 1


@pytest.mark.thorough_on_servers
@pytest.mark.thorough_on_servers
class TestBackoffThatIsAsked:
    def enqueued(self, *names: str, **options: Any) -> TaskResult:
        return retrying(backoff=answer, **options).enqueue(*names)

    @pytest.mark.parametrize(
        ("given", "seconds"), [(300, 300), (0.5, 0.5), (timedelta(minutes=5), 300)]
    )
    def test_gives_the_seconds(self, given: Any, seconds: float) -> None:
        answers.append(given)
        least, most = put_back(self.enqueued("value"))
        assert least <= seconds <= most

    def test_gives_none_to_stop(self) -> None:
        answers.append(None)
        result = executed(self.enqueued("value"))
        assert (result.status, result.attempts) == (FAILED, 1)

    @not_in_celerys_child
    def test_is_told_of_the_exception_and_the_run(self) -> None:
        answers.append(None)
        result = executed(self.enqueued("busy"), "--worker-id=me")
        [(exception, told)] = asked
        assert type(exception) is BusyError
        assert (told.id, told.attempts, told.args) == (result.id, 1, ["busy"])
        assert told.worker_ids == ["me"]

    @not_in_celerys_child
    def test_is_asked_after_each_failure_but_the_last(self) -> None:
        answers.extend([0, 0])
        result = executed(self.enqueued("value", "busy", "gone"))
        assert (result.status, result.attempts) == (FAILED, 3)
        assert [type(exception) for exception, _ in asked] == [ValueError, BusyError]
        assert [len(told.errors) for _, told in asked] == [0, 1]

    def test_is_not_asked_of_what_is_not_retried(self) -> None:
        executed(self.enqueued("value", retry_on=CarrierError))
        assert asked == []

    @not_in_celerys_child
    def test_is_asked_of_a_retry_that_has_no_time(self) -> None:
        answers.append(None)
        assert executed(self.enqueued("retry")).status is FAILED
        assert len(asked) == 1

    @not_in_celerys_child
    @pytest.mark.parametrize(
        "given",
        [
            RuntimeError("no idea"),
            SystemExit(3),
            KeyboardInterrupt(),
            -1,
            float("nan"),
            float("inf"),
            10**400,
            True,
            "soon",
            [],
            timedelta(seconds=-1),
            timedelta(days=100_000),
        ],
        ids=lambda value: f"{value!r:.20}",
    )
    def test_that_knows_no_answer_is_logged_and_replaced_by_the_default(
        self, given: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        answers.append(given)
        result = self.enqueued("value")
        with caplog.at_level(logging.ERROR):
            least, most = put_back(result)
        assert run_of(result).state == RunState.SCHEDULED
        assert least <= 11
        assert most > 8
        assert f"The backoff function of {fail_by.module_path} failed, so the" in caplog.text
        assert again(result).status == SUCCESSFUL


class TestRetry:
    @pytest.mark.parametrize(
        ("name", "seconds"), [("retry", 100), ("retry in a minute", 60), ("retry in an hour", 3600)]
    )
    def test_says_when(self, name: str, seconds: float) -> None:
        result = executed(retrying(backoff=100).enqueue(name))
        assert seconds - 30 < waits(result) <= seconds
        assert (result.status, result.attempts) == (READY, 1)
        assert result.errors[0].exception_class is Retry

    def test_counts_as_a_failure(self) -> None:
        result = executed(retrying(attempts=2).enqueue("retry now", "retry now"))
        assert (result.status, result.attempts, len(result.errors)) == (FAILED, 2, 2)
        assert result.errors[1].traceback.endswith("Retry: again\n")

    @pytest.mark.parametrize("name", ["retry", "retry now", "retry in a minute"])
    def test_is_a_plain_failure_without_attempts_left(self, name: str) -> None:
        result = executed(fail_by.enqueue(name))
        assert (result.status, result.attempts) == (FAILED, 1)
        assert result.errors[0].exception_class is Retry

    def test_is_not_subject_to_give_up_on(self) -> None:
        result = executed(retrying(give_up_on=Exception).enqueue("retry now"))
        assert (result.status, result.attempts) == (SUCCESSFUL, 2)

    def test_with_a_negative_time_is_a_failure_of_its_own(self) -> None:
        result = executed(retrying(attempts=2, backoff=0).enqueue("retry before"))
        assert (result.status, result.attempts) == (SUCCESSFUL, 2)
        assert result.errors[0].exception_class is ValueError
        assert "Retry(after=...) must be seconds" in result.errors[0].traceback


class TestSnooze:
    @pytest.mark.parametrize(("name", "seconds"), [("snooze", 60), ("snooze for an hour", 3600)])
    def test_says_when(self, name: str, seconds: float) -> None:
        result = executed(fail_by.enqueue(name))
        assert run_of(result).state == RunState.SCHEDULED
        assert seconds - 30 < waits(result) <= seconds

    def test_gives_the_attempt_back(self) -> None:
        result = executed(fail_by.enqueue("snooze"))
        assert (result.status, result.attempts, result.worker_ids) == (READY, 0, [])
        assert result.started_at is None
        assert result.last_attempted_at is not None
        assert (result.errors, run_of(result).attempts, run_of(result).failures) == ([], 0, 0)
        assert (run_of(result).claimed_by, run_of(result).claim_token) == (None, None)

    def test_may_be_repeated_without_end(self) -> None:
        result = executed(fail_by.enqueue(*["snooze now"] * 12))
        assert (result.status, result.return_value, result.attempts) == (SUCCESSFUL, 1, 1)
        assert (result.errors, len(result.worker_ids)) == ([], 1)

    def test_after_a_failure_gives_back_its_own_attempt_alone(self) -> None:
        result = executed(
            retrying(attempts=2).enqueue("value", "snooze", "snooze"), "--worker-id=1"
        )
        first = result.started_at
        for _ in range(2):
            began = result.last_attempted_at
            again(result, "--worker-id=2")
            assert (result.attempts, result.worker_ids, len(result.errors)) == (1, ["1"], 1)
            assert result.started_at == first
            assert result.last_attempted_at > began
            assert run_of(result).failures == 1
        again(result, "--worker-id=3")
        assert (result.return_value, result.worker_ids) == (2, ["1", "3"])

    @pytest.mark.thorough_on_servers
    @pytest.mark.parametrize("made", [fail_by_async, fail_by_in_a_process])
    def test_holds_for_every_executor(self, made: Any) -> None:
        result = executed(made.enqueue("snooze now", "snooze now"), "--task-processes", "1")
        assert (result.status, result.return_value, result.attempts) == (SUCCESSFUL, 1, 1)

    def test_with_a_negative_time_is_a_failure(self) -> None:
        result = executed(fail_by.enqueue("snooze before"))
        assert result.status is FAILED
        assert result.errors[0].exception_class is ValueError

    def test_is_not_subject_to_retry_on(self) -> None:
        result = executed(fail_by.using(retry_on=(), give_up_on=Exception).enqueue("snooze now"))
        assert (result.status, result.attempts) == (SUCCESSFUL, 1)


def test_a_storm_of_retries_does_not_overtake_new_work() -> None:
    retried = [retrying(backoff=0).enqueue("value") for _ in range(3)]
    run_worker("--max-tasks", "3", "--threads", "1")
    fresh = [tasks.noop.enqueue() for _ in range(2)]
    for result in retried:
        rewrite(result, state=RunState.SCHEDULED, available_at=database_now())
    store().promote(100)
    names = [run.id for run in TaskRun.objects.order_by("rank", "available_at", "id")]
    assert {str(id_) for id_ in names[:2]} == {result.id for result in fresh}


def test_retries_at_once_are_behind_what_is_ready() -> None:
    first, second = retrying(backoff=0).enqueue("value"), tasks.noop.enqueue()
    run_worker("--max-tasks", "2", "--threads", "1")
    assert (run_of(first).state, run_of(second).state) == ("ready", "successful")


@not_in_celerys_child
def test_attempts_of_the_result_count_the_one_under_way() -> None:
    result = retrying(attempts=3, backoff=answer).enqueue("value", "value", "value")
    answers.extend([0, 0])
    executed(result)
    assert [told.attempts for _, told in asked] == [1, 2]
