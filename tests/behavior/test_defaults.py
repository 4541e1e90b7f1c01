"""Options that stand in the settings, and options that are stored with a run."""

import sys
from datetime import timedelta
from typing import Any

import pytest
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from taskworks import Backoff, TaskResult, TaskResultStatus, task
from taskworks.exceptions import InvalidTask, TaskNotFound
from taskworks.models import RunState, TaskRun
from taskworks.store import store
from tests import tasks
from tests.behavior import (
    DATABASE_BACKEND,
    Settings,
    database_now,
    executed,
    refused,
    rewrite,
    run_of,
)

pytestmark = [pytest.mark.thorough_on_servers, pytest.mark.django_db(transaction=True)]

FAILED, READY, SUCCESSFUL = (
    TaskResultStatus.FAILED,
    TaskResultStatus.READY,
    TaskResultStatus.SUCCESSFUL,
)
INFINITE = float("inf")


class CarrierError(Exception):
    """What the tests retry."""


def wait_long(exception: BaseException, task_result: Any) -> float:
    return 4000


@task(max_attempts=7, timeout=70)
def with_options() -> None:
    raise CarrierError


@task
def without_options() -> None:
    raise CarrierError


def default(settings: Settings, tasks: Any = None, queues: Any = None) -> None:
    """Set TASK_DEFAULTS and QUEUE_DEFAULTS."""
    options = {"TASK_DEFAULTS": tasks or {}, "QUEUE_DEFAULTS": queues or {}}
    entry = {"BACKEND": DATABASE_BACKEND, "QUEUES": [], "OPTIONS": options}
    settings.TASKS = {"default": entry, "other": {"BACKEND": DATABASE_BACKEND, "QUEUES": []}}


def waits(result: TaskResult) -> float:
    return (run_of(result).available_at - store().read_clock()).total_seconds()


class TestDefaultsOfTasks:
    def test_hold_where_nothing_is_given(self, settings: Settings) -> None:
        default(settings, {"max_attempts": 3, "timeout": timedelta(minutes=1)})
        assert without_options.policy.max_attempts == 3
        assert without_options.policy.timeout == 60
        assert (without_options.max_attempts, without_options.timeout) == (None, None)

    def test_give_way_to_what_is_given(self, settings: Settings) -> None:
        default(settings, {"max_attempts": 3, "timeout": 60, "backoff": 5})
        assert (with_options.policy.max_attempts, with_options.policy.timeout) == (7, 70)
        assert with_options.policy.backoff == 5
        assert with_options.using(timeout=INFINITE).policy.timeout == INFINITE
        assert without_options.using(max_attempts=1).policy.max_attempts == 1

    def test_hold_for_their_backend_alone(self, settings: Settings) -> None:
        default(settings, {"max_attempts": 3})
        assert without_options.using(backend="other").policy.max_attempts == 1

    def test_of_none_are_as_if_they_were_not_there(self, settings: Settings) -> None:
        default(settings, {"max_attempts": None})
        assert without_options.policy.max_attempts == 1

    def test_name_classes_and_functions_by_their_paths(self, settings: Settings) -> None:
        default(
            settings,
            {
                "retry_on": f"{__name__}.CarrierError",
                "give_up_on": ["builtins.KeyError", OSError],
                "backoff": f"{__name__}.wait_long",
            },
        )
        policy = without_options.policy
        assert policy.retry_on == (CarrierError,)
        assert policy.give_up_on == (KeyError, OSError)
        assert policy.backoff is wait_long

    def test_take_objects_too(self, settings: Settings) -> None:
        default(settings, {"retry_on": (CarrierError,), "backoff": Backoff(5)})
        assert without_options.policy.retry_on == (CarrierError,)
        assert without_options.policy.backoff == Backoff(5)

    def test_are_what_a_worker_goes_by(self, settings: Settings) -> None:
        default(settings, {"max_attempts": 2, "backoff": f"{__name__}.wait_long"})
        result = executed(without_options.enqueue())
        assert (result.status, result.attempts) == (READY, 1)
        assert 3900 < waits(result) <= 4000


class TestDefaultsOfAQueue:
    def test_go_before_those_of_tasks(self, settings: Settings) -> None:
        default(settings, {"max_attempts": 3, "timeout": 60}, {"mail": {"max_attempts": 5}})
        mail = without_options.using(queue_name="mail").policy
        assert (mail.max_attempts, mail.timeout) == (5, 60)
        assert without_options.policy.max_attempts == 3

    def test_give_way_to_what_is_given(self, settings: Settings) -> None:
        default(settings, {}, {"mail": {"max_attempts": 5}})
        assert with_options.using(queue_name="mail").policy.max_attempts == 7

    def test_are_left_behind_with_the_queue(self, settings: Settings) -> None:
        default(settings, {}, {"mail": {"max_attempts": 5}, "imports": {"max_attempts": 6}})
        mail = without_options.using(queue_name="mail")
        assert mail.using(queue_name="imports").policy.max_attempts == 6
        assert mail.using(queue_name="default").policy.max_attempts == 1

    def test_may_lift_a_limit(self, settings: Settings) -> None:
        default(settings, {"timeout": 60}, {"mail": {"timeout": INFINITE}})
        assert without_options.using(queue_name="mail").policy.timeout == INFINITE

    def test_are_what_a_worker_goes_by(self, settings: Settings) -> None:
        default(settings, {}, {"mail": {"max_attempts": 2, "backoff": 0}})
        result = executed(without_options.using(queue_name="mail").enqueue())
        assert (result.status, result.attempts) == (FAILED, 2)


class TestADefaultExecutor:
    def test_is_for_the_tasks_that_it_fits(self, settings: Settings) -> None:
        default(settings, {"executor": "async"})
        assert tasks.add.policy.executor == "thread"
        assert tasks.add_async.policy.executor == "async"
        default(settings, {"executor": "thread"})
        assert tasks.add_async.policy.executor == "async"

    @pytest.mark.parametrize("made", [tasks.add, tasks.add_async])
    def test_of_processes_is_for_all(self, settings: Settings, made: Any) -> None:
        default(settings, {}, {"mail": {"executor": "process"}})
        assert made.using(queue_name="mail").policy.executor == "process"
        assert run_of(made.using(queue_name="mail").enqueue(1, 2)).executor == "process"
        assert run_of(made.enqueue(1, 2)).executor != "process"

    def test_does_not_excuse_one_that_is_given(self, settings: Settings) -> None:
        default(settings, {"executor": "async"})
        with pytest.raises(InvalidTask, match="executor='async' does not fit 'add'"):
            tasks.add.using(executor="async")


@pytest.mark.parametrize(
    ("made", "executor"),
    [
        (tasks.add, "thread"),
        (tasks.add_async, "async"),
        (tasks.add.using(executor="thread"), "thread"),
        (tasks.add.using(executor="process"), "process"),
        (tasks.add_async.using(executor="process"), "process"),
    ],
)
def test_a_run_is_in_the_line_of_its_executor(made: Any, executor: str) -> None:
    result = made.enqueue(1, 2)
    assert run_of(result).executor == executor
    assert executed(result, "--task-processes", "1").return_value == 3


class TestADefaultThatChanges:
    def test_holds_for_runs_that_are_stored(self, settings: Settings) -> None:
        result = without_options.enqueue()
        default(settings, {"max_attempts": 3, "backoff": 0})
        assert executed(result).attempts == 3

    def test_holds_between_two_attempts(self, settings: Settings) -> None:
        default(settings, {"max_attempts": 9, "backoff": 3600})
        result = executed(without_options.enqueue())
        default(settings, {"max_attempts": 2})
        rewrite(result, available_at=database_now())
        assert (executed(result).status, result.attempts) == (FAILED, 2)

    def test_does_not_change_what_using_has_changed(self, settings: Settings) -> None:
        default(settings, {"max_attempts": 9, "backoff": 0})
        result = without_options.using(max_attempts=2).enqueue()
        default(settings, {"max_attempts": 5, "backoff": 0})
        assert executed(result).attempts == 2


class TestBadDefaults:
    BAD = [  # noqa: RUF012 - not changed
        {"TASK_DEFAULTS": {"retries": 5}},
        {"QUEUE_DEFAULTS": {"mail": {"retries": 5}}},
        {"TASK_DEFAULTS": {"max_attempts": 0}},
    ]

    @pytest.mark.parametrize("options", BAD, ids=str)
    def test_refuse_every_task(self, settings: Settings, options: Any) -> None:
        settings.TASKS = {"default": {"BACKEND": DATABASE_BACKEND, "OPTIONS": options}}
        with pytest.raises(ImproperlyConfigured, match=r"^TASKS\['default'\]\['OPTIONS'\]\["):
            tasks.noop.using(priority=5)

    @pytest.mark.parametrize("options", BAD, ids=str)
    def test_are_found_by_a_system_check(self, settings: Settings, options: Any) -> None:
        settings.TASKS = {"default": {"BACKEND": DATABASE_BACKEND, "OPTIONS": options}}
        # The standard's check is there twice where the backport is imported beside it.
        found = {e.msg: e.level for e in checks.run_checks() if "['OPTIONS']" in e.msg}
        assert [*found.values()] == [checks.ERROR]


class TestStoredOptions:
    def test_are_those_that_using_has_changed(self) -> None:
        assert run_of(with_options.enqueue()).options == {}
        assert run_of(with_options.using(priority=5).enqueue()).options == {}
        assert run_of(with_options.using(max_attempts=3).enqueue()).options == {"max_attempts": 3}
        assert run_of(with_options.using(max_attempts=7).enqueue()).options == {}

    @pytest.mark.parametrize(
        "options",
        [
            {"max_attempts": 5},
            {"backoff": 2},
            {"backoff": timedelta(minutes=1)},
            {"backoff": Backoff(1, 2, 3, 0.4)},
            {"backoff": wait_long},
            {"retry_on": CarrierError},
            {"retry_on": [CarrierError, ValueError]},
            {"retry_on": ()},
            {"give_up_on": (CarrierError,)},
            {"timeout": timedelta(minutes=1)},
            {"timeout": INFINITE},
            {"expires": 60},
            {"executor": "process"},
        ],
        ids=lambda options: f"{options!r:.40}",
    )
    def test_are_read_back(self, options: dict[str, Any]) -> None:
        made = with_options.using(**options)
        result = made.enqueue()
        again = with_options.get_result(result.id)
        assert again == result
        assert again.task == result.task == made
        assert again.task.policy == made.policy
        assert run_of(result).task == made

    def test_are_what_a_worker_goes_by(self) -> None:
        result = executed(with_options.using(max_attempts=2, backoff=wait_long).enqueue())
        assert (result.status, result.attempts) == (READY, 1)
        assert waits(result) > 3900

    def test_are_those_of_each_of_many(self) -> None:
        results = with_options.using(max_attempts=2, backoff=0).enqueue_many([(), ()])
        assert [executed(result).attempts for result in results] == [2, 2]

    def test_leave_the_others_to_the_code(self, monkeypatch: pytest.MonkeyPatch) -> None:
        result = with_options.using(backoff=0).enqueue()
        deployed = with_options.using(max_attempts=2)
        monkeypatch.setattr(sys.modules[__name__], "with_options", deployed)
        assert executed(result).attempts == 2

    @pytest.mark.parametrize(
        ("options", "name"),
        [
            ({"backoff": lambda exception, task_result: 5}, "backoff"),
            ({"retry_on": type("LocalError", (Exception,), {})}, "retry_on"),
            ({"give_up_on": [type("LocalError", (Exception,), {})]}, "give_up_on"),
        ],
    )
    def test_have_a_path_by_which_a_worker_finds_them(
        self, options: dict[str, Any], name: str
    ) -> None:
        made = tasks.noop.using(**options)
        with refused(InvalidTask, f"{name}=<", "does not lead to it", "importable module"):
            made.enqueue()
        with refused(InvalidTask, f"{name}=<"):
            made.enqueue_many([(1,), (2,)])
        with refused(InvalidTask, f"{name}=<"):
            made.enqueue_on_commit()

    def test_need_no_path_where_they_are_the_definitions(self) -> None:
        assert executed(with_a_lambda.enqueue()).attempts == 2


@task(max_attempts=2, backoff=lambda exception, task_result: 0, retry_on=CarrierError)
def with_a_lambda() -> None:
    raise CarrierError


@pytest.mark.parametrize(
    "options",
    [
        {"retry_on": ["nowhere.Error"]},
        {"give_up_on": ["tests.tasks.NoError"]},
        {"backoff": "tests.tasks.no_backoff"},
        {"retry_on": ["tests.behavior.broken.Error"]},
        {"retry_on": ["tests.behavior.leaving.Error"]},
    ],
    ids=str,
)
class TestAStoredClassThatIsGone:
    @pytest.fixture
    def result(self, options: dict[str, Any]) -> TaskResult:
        result = tasks.add.enqueue(1, 2)
        rewrite(result, options=options)
        return result

    def test_postpones_the_run(self, result: TaskResult) -> None:
        executed(result)
        run = run_of(result)
        assert (result.status, result.attempts, result.errors) == (READY, 0, [])
        assert run.state == RunState.SCHEDULED
        assert run.missing_since is not None

    def test_fails_it_after_some_time(self, result: TaskResult) -> None:
        rewrite(result, missing_since=database_now() - timedelta(minutes=11))
        executed(result)
        assert result.status is FAILED
        assert result.errors[0].exception_class is TaskNotFound

    def test_does_no_harm_when_it_comes_back(self, result: TaskResult) -> None:
        executed(result)
        rewrite(result, options={"retry_on": ["builtins.OSError"]}, available_at=database_now())
        assert executed(result).return_value == 3
        assert run_of(result).missing_since is None

    def test_does_not_keep_the_result_from_being_read(self, result: TaskResult) -> None:
        again = tasks.add.get_result(result.id)
        assert again.args == [1, 2]
        assert run_of(result).task.module_path == "tests.tasks.add"


@pytest.mark.parametrize(
    "options",
    [{"retry_on": ["tests.tasks.gate"]}, {"backoff": "builtins.OSError"}, {"max_attempts": 0}],
    ids=str,
)
def test_a_stored_option_that_is_none_any_more_fails_the_run(options: dict[str, Any]) -> None:
    result, neighbour = tasks.add.enqueue(1, 2), tasks.add.enqueue(3, 4)
    rewrite(result, options=options)
    executed(result)
    assert result.status is FAILED
    assert result.errors[0].exception_class is InvalidTask
    assert executed(neighbour).return_value == 7
    assert TaskRun.objects.in_hand().count() == 0
