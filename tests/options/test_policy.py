"""The options of a task: what is valid, what is in force, and how a changed one is stored."""

import os
import pickle
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from taskworks import Backoff, Task, task
from taskworks.exceptions import InvalidTask
from taskworks.options.policy import Policy
from taskworks.options.stored import from_stored, to_stored
from tests import tasks
from tests.behavior import DATABASE_BACKEND, Settings
from tests.behavior.test_options import standard_task, takes_options

INFINITE, NOT_A_NUMBER = float("inf"), float("nan")
ODD_NUMBERS = [0, -1, NOT_A_NUMBER, -INFINITE, True, False, "5", [], object(), 10**400]


def plain() -> None: ...


async def plain_async() -> None: ...


def ask(exception: BaseException, result: Any) -> float:
    return 5


def takes_one(exception: BaseException) -> float:
    return 5


class Asked:
    """A function of another kind."""

    def __call__(self, exception: BaseException, result: Any) -> float:
        return 5


asked = Asked()


class Leisure(Backoff):
    """Its numbers alone would not tell how long it waits."""

    def delay(self, failures: int) -> float:
        return 5


class CarrierError(Exception):
    """What the tests retry."""


class BusyError(CarrierError):
    """A kind of it."""


def of(function: Any = plain, **options: Any) -> Policy:
    return task(**options)(function).policy


INVALID = [
    *[
        ("max_attempts", value, "an integer from 1 to 2147483647")
        for value in [*ODD_NUMBERS, 1.0, 2**31]
    ],
    *[("backoff", value, "backoff must be seconds") for value in [-1, NOT_A_NUMBER, INFINITE]],
    *[("backoff", value, "backoff must be seconds") for value in [True, "5", [], ValueError]],
    ("backoff", timedelta(seconds=-1), "backoff must be seconds"),
    *[("backoff", value, "backoff must be seconds") for value in [os.system, os.getcwd, takes_one]],
    ("backoff", 10**400, "backoff must be seconds"),
    *[
        (name, value, f"{name} must be ")
        for name in ("timeout", "expires")
        for value in ODD_NUMBERS
    ],
    *[(name, timedelta(0), f"{name} must be greater than 0") for name in ("timeout", "expires")],
    *[(name, timedelta(-1), f"{name} must be seconds") for name in ("timeout", "expires")],
    *[
        (name, value, "must be one or more exception classes, not ")
        for name in ("retry_on", "give_up_on")
        for value in ["ValueError", ValueError(), int, 5, ["a"], [ValueError, int], [ask]]
    ],
    *[("executor", value, "must be one of 'thread', 'process', 'async'") for value in ["", 5, []]],
    ("executor", "async", "not a coroutine function: use 'thread' or 'process'"),
    *[("metadata", value, "metadata must be a dict, not ") for value in [5, "a", [], [1]]],
]
invalid = pytest.mark.parametrize(
    ("name", "value", "sentence"),
    INVALID,
    ids=[f"{name}={value!r:.20}" for name, value, _ in INVALID],
)


class TestValidation:
    @invalid
    def test_refuses_an_option_at_definition(self, name: str, value: Any, sentence: str) -> None:
        with pytest.raises(InvalidTask, match=sentence):
            task(**{name: value})(plain)

    @takes_options
    @invalid
    def test_refuses_it_of_the_standards_decorator(
        self, name: str, value: Any, sentence: str
    ) -> None:
        with pytest.raises(InvalidTask, match=sentence):
            standard_task(**{name: value})(plain)

    @invalid
    def test_refuses_it_of_using(self, name: str, value: Any, sentence: str) -> None:
        with pytest.raises(InvalidTask, match=sentence):
            tasks.noop.using(**{name: value})

    @pytest.mark.parametrize("name", ["timeout", "expires", "backoff"])
    def test_names_the_option_and_the_value(self, name: str) -> None:
        with pytest.raises(InvalidTask, match=rf"^{name} must be .* not -3\."):
            task(**{name: -3})(plain)

    def test_refuses_a_thread_for_a_coroutine_function(self) -> None:
        with pytest.raises(
            InvalidTask,
            match=r"^executor='thread' does not fit 'plain_async', which is a coroutine function: "
            r"use 'async' or 'process'\.$",
        ):
            task(executor="thread")(plain_async)

    @takes_options
    def test_takes_our_options_from_the_standards_decorator(self) -> None:
        made = standard_task(
            max_attempts=3,
            backoff=Backoff(1),
            retry_on=CarrierError,
            give_up_on=[BusyError],
            timeout=timedelta(minutes=1),
            expires=60,
            executor="process",
            metadata={"a": 1},
        )(plain)
        assert type(made) is Task
        assert made.policy == Policy(
            max_attempts=3,
            backoff=Backoff(1),
            retry_on=(CarrierError,),
            give_up_on=(BusyError,),
            timeout=60.0,
            expires=60.0,
            executor="process",
        )


class TestPolicy:
    def test_without_options_has_the_defaults(self) -> None:
        assert of() == Policy()
        assert (Policy().max_attempts, Policy().executor) == (1, "thread")
        assert Policy().timeout == Policy().expires == INFINITE
        assert of(plain_async).executor == "async"

    @pytest.mark.parametrize("function", [plain, plain_async])
    def test_takes_processes_for_either_kind_of_function(self, function: Any) -> None:
        assert of(function, executor="process").executor == "process"

    @pytest.mark.parametrize(
        ("given", "in_force"),
        [
            (0, 0.0),
            (2.5, 2.5),
            (timedelta(minutes=1), 60.0),
            (Backoff(1), Backoff(1)),
            (ask, ask),
            (asked, asked),
        ],
    )
    def test_has_a_backoff_of_any_form(self, given: Any, in_force: Any) -> None:
        assert of(backoff=given).backoff == in_force

    @pytest.mark.parametrize("name", ["timeout", "expires"])
    @pytest.mark.parametrize(
        ("given", "in_force"),
        [(5, 5.0), (0.5, 0.5), (timedelta(hours=1), 3600.0), (INFINITE, INFINITE)],
    )
    def test_has_limits_in_seconds(self, name: str, given: Any, in_force: float) -> None:
        assert getattr(of(**{name: given}), name) == in_force

    @pytest.mark.parametrize(
        "given",
        [CarrierError, [CarrierError], (CarrierError,), {CarrierError}],
        ids=["class", "list", "tuple", "set"],
    )
    @pytest.mark.parametrize("name", ["retry_on", "give_up_on"])
    def test_has_classes_in_a_tuple(self, name: str, given: Any) -> None:
        assert getattr(of(**{name: given}), name) == (CarrierError,)

    def test_has_the_classes_of_an_iterator_more_than_once(self) -> None:
        made = task(retry_on=(kind for kind in [CarrierError]))(plain)
        assert made.policy.retry_on == made.policy.retry_on == (CarrierError,)
        assert made.using(priority=5).policy.retry_on == (CarrierError,)
        assert pickle.loads(pickle.dumps(tasks.noop.using(retry_on=iter([ValueError]))))

    def test_retries_everything_by_default(self) -> None:
        assert all(Policy().retries(kind()) for kind in (ValueError, SystemExit, KeyboardInterrupt))

    def test_retries_what_it_is_told_to_subclasses_included(self) -> None:
        policy = of(retry_on=CarrierError)
        assert policy.retries(CarrierError())
        assert policy.retries(BusyError())
        assert not policy.retries(ValueError())

    def test_gives_up_where_both_match(self) -> None:
        policy = of(retry_on=CarrierError, give_up_on=BusyError)
        assert policy.retries(CarrierError())
        assert not policy.retries(BusyError())
        assert not of(retry_on=BusyError, give_up_on=CarrierError).retries(BusyError())

    def test_retries_nothing_with_no_classes(self) -> None:
        assert not of(retry_on=()).retries(ValueError())


class TestATask:
    OPTIONS = {  # noqa: RUF012 - not changed
        "max_attempts": 3,
        "backoff": Backoff(1),
        "retry_on": (ValueError, OSError),
        "give_up_on": (KeyError,),
        "timeout": timedelta(minutes=1),
        "expires": 60,
        "executor": "process",
        "metadata": {"a": [1]},
    }

    def test_with_options_is_a_value(self) -> None:
        made, again = (tasks.noop.using(**self.OPTIONS) for _ in range(2))
        assert made == again
        assert hash(made) == hash(again)
        assert made != tasks.noop
        assert made.using() == made

    @pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
    def test_with_options_can_be_pickled(self, protocol: int) -> None:
        made = tasks.noop.using(**self.OPTIONS)
        again = pickle.loads(pickle.dumps(made, protocol))
        assert again == made
        assert again.policy == made.policy
        assert again.metadata == {"a": [1]}

    def test_is_the_same_however_an_option_is_written(self) -> None:
        minute = tasks.noop.using(timeout=timedelta(minutes=1), retry_on=ValueError)
        assert minute == tasks.noop.using(timeout=60, retry_on=[ValueError])

    def test_keeps_its_options_when_others_change(self) -> None:
        made = tasks.noop.using(max_attempts=3).using(timeout=5).using(max_attempts=None)
        assert (made.max_attempts, made.timeout) == (3, 5)


class TestStored:
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"max_attempts": 5},
            {"backoff": 2.5},
            {"backoff": Backoff(1, 2, 3, 0.4)},
            {"backoff": ask},
            {"retry_on": (ValueError, CarrierError)},
            {"retry_on": ()},
            {"give_up_on": (BusyError,)},
            {"timeout": 5.0},
            {"timeout": INFINITE},
            {"expires": INFINITE},
            {"expires": 5.0},
            {"executor": "process"},
            {"max_attempts": 2, "retry_on": (OSError,), "timeout": 1.5},
        ],
        ids=lambda options: f"{options!r:.40}",
    )
    def test_options_come_back(self, options: dict[str, Any]) -> None:
        stored = to_stored(options)
        assert from_stored(stored) == options
        assert from_stored(from_json(stored)) == options

    def test_what_is_none_is_not_stored(self) -> None:
        assert to_stored({"max_attempts": None, "timeout": None}) == {}

    @pytest.mark.parametrize(
        ("options", "name"),
        [
            ({"backoff": lambda exception, result: 5}, "backoff"),
            ({"backoff": asked}, "backoff"),
            ({"backoff": asked.__call__}, "backoff"),
            ({"backoff": Leisure()}, "backoff"),
            ({"retry_on": type("Local", (Exception,), {})}, "retry_on"),
            ({"give_up_on": [ValueError, type("Local", (Exception,), {})]}, "give_up_on"),
        ],
    )
    def test_what_has_no_path_is_refused(self, options: dict[str, Any], name: str) -> None:
        with pytest.raises(
            InvalidTask,
            match=rf"^{name}=.* cannot be stored with a run: '.*' does not lead to it\. Define it "
            r"under its own name in an importable module, or pass it to @task\.$",
        ):
            to_stored(options)

    @pytest.mark.parametrize("path", ["nowhere.Error", "tests.tasks.NoError", "plain", ".x", ""])
    def test_what_is_gone_cannot_be_imported(self, path: str) -> None:
        for options in ({"retry_on": [path]}, {"backoff": path}):
            with pytest.raises(ImportError):
                from_stored(options)

    @pytest.mark.parametrize(
        "stored",
        [
            {"backoff": "os.system"},
            {"backoff": "os.abort"},
            {"backoff": "builtins.ValueError"},
            {"backoff": [1, 2, 3, 4, 5]},
            {"backoff": [{}]},
            {"backoff": {}},
            {"retry_on": "os.system"},
            {"retry_on": 5},
            {"max_attempts": 0},
            {"max_attempts": None},
            {"timeout": "long"},
            {"executor": "alone"},
            {"priority": 5},
        ],
        ids=str,
    )
    def test_what_the_decorator_would_refuse_is_refused(self, stored: dict[str, Any]) -> None:
        with pytest.raises(InvalidTask):
            from_stored(stored)

    def test_a_module_that_breaks_is_like_one_that_is_gone(self) -> None:
        for module in ("broken", "leaving"):
            with pytest.raises(ImportError):
                from_stored({"retry_on": [f"tests.behavior.{module}.Error"]})


def from_json(stored: dict[str, Any]) -> Any:
    from taskworks import jsonvalue

    return jsonvalue.decode(jsonvalue.encode(stored, "options"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"TASK_DEFAULTS": 5}, r"\['TASK_DEFAULTS'\] must be a dict of options, not 5\."),
        ({"TASK_DEFAULTS": {"retries": 5}}, r"no option 'retries'\. Choose from: backoff, "),
        (
            {"TASK_DEFAULTS": {"max_attempt": 5}},
            r"TASKS\['default'\]\['OPTIONS'\]\['TASK_DEFAULTS'\] has no option 'max_attempt'\. "
            r"Did you mean 'max_attempts'\?",
        ),
        ({"TASK_DEFAULTS": {5: 5}}, "no option 5"),
        ({"TASK_DEFAULTS": {"priority": 5}}, "no option 'priority'"),
        ({"TASK_DEFAULTS": {"max_attempts": 0}}, r"\['TASK_DEFAULTS'\]: max_attempts must be"),
        ({"TASK_DEFAULTS": {"timeout": NOT_A_NUMBER}}, "timeout must be"),
        ({"TASK_DEFAULTS": {"executor": "fast"}}, "executor must be one of"),
        ({"TASK_DEFAULTS": {"backoff": "nowhere.backoff"}}, r"No module named 'nowhere'"),
        ({"TASK_DEFAULTS": {"backoff": "tests.tasks.nothing"}}, r'"nothing"'),
        ({"TASK_DEFAULTS": {"retry_on": "nowhere.Error"}}, r"No module named 'nowhere'"),
        ({"TASK_DEFAULTS": {"retry_on": ["ValueError"]}}, r"module path"),
        ({"TASK_DEFAULTS": {"retry_on": ".x"}}, r"\['TASK_DEFAULTS'\]: "),
        ({"TASK_DEFAULTS": {"retry_on": "tests.behavior.broken.Error"}}, "TASK_DEFAULTS"),
        ({"TASK_DEFAULTS": {"retry_on": 5}}, "retry_on must be one or more exception classes"),
        (
            {"TASK_DEFAULTS": {"retry_on": "tests.tasks.noop"}},
            "retry_on must be one or more exception classes",
        ),
        ({"QUEUE_DEFAULTS": []}, r"\['QUEUE_DEFAULTS'\] must be a dict, not \[\]\."),
        ({"QUEUE_DEFAULTS": {"mail": 5}}, r"\['QUEUE_DEFAULTS'\]\['mail'\] must be a dict"),
        ({"QUEUE_DEFAULTS": {"mail": {"x": 5}}}, r"\['mail'\] has no option 'x'"),
        ({"QUEUE_DEFAULTS": {"mail": {"expires": 0}}}, r"\['mail'\]: expires must be greater"),
    ],
    ids=str,
)
def test_bad_defaults_are_refused_by_their_place(
    settings: Settings, options: dict[str, Any], sentence: str
) -> None:
    backend = {"BACKEND": DATABASE_BACKEND, "QUEUES": ["default", "mail"], "OPTIONS": options}
    settings.TASKS = {"default": backend}
    with pytest.raises(ImproperlyConfigured, match=sentence):
        task(plain)


def test_defaults_of_a_queue_that_there_is_not_are_refused(settings: Settings) -> None:
    options = {"QUEUE_DEFAULTS": {"mial": {"timeout": 5}}}
    backend = {"BACKEND": DATABASE_BACKEND, "QUEUES": ["default", "mail"], "OPTIONS": options}
    settings.TASKS = {"default": backend}
    with pytest.raises(ImproperlyConfigured, match=r"'mial', which is not in 'QUEUES'\..*'mail'"):
        task(plain)
