"""What Django's own suite does not ask of the backport; the rest is in tests/conformance."""

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Iterator
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

import django
import pytest
from django.conf import global_settings, settings
from django.core.checks import Error
from django.core.checks.registry import registry
from django.test import override_settings
from django.test.utils import override_system_checks

from taskworks.framework.backport import (
    DEFAULT_TASKS,
    TaskBackendHandler,
    TaskContext,
    TaskResult,
    TaskResultStatus,
    default_task_backend,
    exceptions,
    signals,
    task,
    task_backends,
)
from taskworks.framework.backport.backends.base import BaseTaskBackend
from taskworks.framework.backport.backends.dummy import DummyBackend
from taskworks.framework.backport.backends.immediate import ImmediateBackend
from taskworks.framework.backport.base import Task
from taskworks.framework.backport.checks import check_tasks

BACKPORT = "taskworks.framework.backport"
MODULES = ["base", "checks", "exceptions", "signals"]
MODULES += ["backends.base", "backends.dummy", "backends.immediate"]
COMPLAINT = Error("The cellar is flooded.", id="tests.E001")


class ComplainingBackend(DummyBackend):
    """Finds something wrong with itself."""

    def check(self, **kwargs: Any) -> list[Error]:
        return [COMPLAINT]


class HastyBackend(ImmediateBackend):
    """Is what signals must name as their sender, and not its base."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LimitedTask(Task):
    limit: int = 1

    def __post_init__(self) -> None:
        # super() without arguments does not work in a dataclass with slots before Python 3.14.
        Task.__post_init__(self)


class LimitedBackend(DummyBackend):
    task_class = LimitedTask


TASKS = {
    "default": {"BACKEND": f"{BACKPORT}.backends.dummy.DummyBackend"},
    "immediate": {"BACKEND": f"{BACKPORT}.backends.immediate.ImmediateBackend"},
    "complaining": {"BACKEND": f"{__name__}.ComplainingBackend"},
    "hasty": {"BACKEND": f"{__name__}.HastyBackend"},
    "limited": {"BACKEND": f"{__name__}.LimitedBackend"},
}

# Made under the backport's backends, whatever the settings of the test project are.
with override_settings(TASKS=TASKS):

    @task
    def double(number: int) -> int:
        return 2 * number

    @task(takes_context=True)
    def tell_attempt(context: TaskContext) -> int:
        return context.attempt

    @task(backend="immediate")
    def fail() -> None:
        raise LookupError("nothing there")

    @task(backend="limited", limit=5)
    def limited() -> None:
        pass


@pytest.fixture(autouse=True)
def tasks_setting() -> Iterator[None]:
    with override_settings(TASKS=TASKS, USE_TZ=True):
        yield


class TestDefaultOfTheSetting:
    def test_where_tasks_is_not_set_at_all(self) -> None:
        with override_settings():
            del settings.TASKS
            assert TaskBackendHandler().settings == DEFAULT_TASKS

    @pytest.mark.skipif(django.VERSION < (6, 0), reason="Django 5.2 has no default for TASKS")
    def test_where_tasks_is_djangos_own_default(self) -> None:
        with override_settings(TASKS=global_settings.TASKS):
            assert type(task_backends["default"]) is ImmediateBackend

    def test_a_setting_equal_to_djangos_default_is_the_users(self) -> None:
        written = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}
        with override_settings(TASKS=written):
            assert TaskBackendHandler().settings is written

    def test_the_default_is_our_immediate_backend(self) -> None:
        assert type(TaskBackendHandler(DEFAULT_TASKS)["default"]) is ImmediateBackend

    def test_a_changed_setting_makes_new_backends(self) -> None:
        before = task_backends["default"]
        with override_settings(TASKS={"default": TASKS["immediate"]}):
            assert type(task_backends["default"]) is ImmediateBackend
        assert type(task_backends["default"]) is DummyBackend
        assert task_backends["default"] is not before


class TestNames:
    def test_old_names_of_exceptions(self) -> None:
        assert exceptions.InvalidTaskError is exceptions.InvalidTask
        assert exceptions.InvalidTaskBackendError is exceptions.InvalidTaskBackend

    @pytest.mark.skipif(django.VERSION < (6, 1), reason="the reference is Django 6.1's")
    @pytest.mark.parametrize("name", MODULES)
    def test_every_name_and_signature_of_django_is_here(self, name: str) -> None:
        theirs = public_shape(import_module(f"django.tasks.{name}"))
        ours = public_shape(import_module(f"{BACKPORT}.{name}"))
        assert {path: ours.get(path) for path in theirs} == theirs


def public_shape(module: ModuleType) -> dict[str, object]:
    """Return a module's constants, and the parameters of its functions, classes and methods."""
    shape: dict[str, object] = {}
    for name, thing in vars(module).items():
        if name.isupper():
            shape[name] = thing
        elif getattr(thing, "__module__", None) == module.__name__:
            shape |= shape_of(name, thing)
    return shape


def shape_of(name: str, thing: object) -> dict[str, object]:
    members = vars(thing) if inspect.isclass(thing) else {}
    public = {key: member for key, member in members.items() if not key.startswith("_")}
    return {name: parameters(thing)} | {
        f"{name}.{key}": parameters(member) for key, member in public.items()
    }


def parameters(thing: object) -> list[tuple[str, object]]:
    if not (inspect.isfunction(thing) or dataclasses.is_dataclass(thing)):
        return []
    given = inspect.signature(thing).parameters.items()
    # Ours accepts a keyword argument of a task that is called self; Django's does not.
    return [(name, None if name == "self" else p.kind) for name, p in given]


class TestSignals:
    @pytest.fixture
    def sent(self) -> Iterator[list[tuple[str, type[BaseTaskBackend], str]]]:
        sent: list[tuple[str, type[BaseTaskBackend], str]] = []
        named = {
            "enqueued": signals.task_enqueued,
            "started": signals.task_started,
            "finished": signals.task_finished,
        }

        def listen(name: str) -> Any:
            def receive(sender: Any, task_result: TaskResult, **kwargs: Any) -> None:
                sent.append((name, sender, task_result.status.value))

            return receive

        receivers = {name: listen(name) for name in named}
        for name, signal in named.items():
            signal.connect(receivers[name])
        yield sent
        for name, signal in named.items():
            signal.disconnect(receivers[name])

    def test_immediate_backend_sends_all_three(self, sent: list[Any]) -> None:
        double.using(backend="immediate").enqueue(1)
        assert sent == [
            ("enqueued", ImmediateBackend, "READY"),
            ("started", ImmediateBackend, "RUNNING"),
            ("finished", ImmediateBackend, "SUCCESSFUL"),
        ]

    def test_a_failure_is_finished_too(self, sent: list[Any]) -> None:
        fail.enqueue()
        assert sent[-1] == ("finished", ImmediateBackend, "FAILED")

    def test_dummy_backend_sends_that_it_was_enqueued(self, sent: list[Any]) -> None:
        double.enqueue(1)
        assert sent == [("enqueued", DummyBackend, "READY")]

    def test_the_sender_is_the_class_that_is_configured(self, sent: list[Any]) -> None:
        double.using(backend="complaining").enqueue(1)
        double.using(backend="hasty").enqueue(1)
        senders = [sender for _, sender, _ in sent]
        assert senders == [ComplainingBackend, HastyBackend, HastyBackend, HastyBackend]

    def test_a_refused_task_sends_nothing(self, sent: list[Any]) -> None:
        with override_settings(TASKS={"default": {**TASKS["default"], "QUEUES": ["other"]}}):
            with pytest.raises(exceptions.InvalidTask, match="Queue 'default' is not valid"):
                double.enqueue(1)
            assert not sent
            assert not default_task_backend.results

    def test_log_lines(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level("DEBUG", logger=signals.LOGGER_NAME):
            result = fail.enqueue()
        who = f"Task id={result.id} path={__name__}.fail"
        assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
            ("DEBUG", f"{who} enqueued backend=immediate"),
            ("INFO", f"{who} state=RUNNING"),
            ("ERROR", f"{who} state=FAILED"),
        ]
        assert {record.name for record in caplog.records} == {BACKPORT}
        assert "LookupError: nothing there" in caplog.text


class TestCheck:
    def test_yields_what_the_backends_say(self) -> None:
        assert list(check_tasks()) == [COMPLAINT]

    def test_is_registered(self) -> None:
        with override_system_checks([]):
            spec = find_spec(check_tasks.__module__)
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            assert module.check_tasks in registry.get_checks()


class TestCopies:
    def test_pickled_task_is_equal_and_of_its_class(self) -> None:
        for original in (double, double.using(priority=3), limited, limited.using(priority=3)):
            loaded = pickle.loads(pickle.dumps(original))
            assert loaded == original
            assert type(loaded) is type(original)
        assert limited.limit == 5

    def test_pickled_result_is_equal(self) -> None:
        result = double.using(backend="immediate").enqueue(4)
        loaded = pickle.loads(pickle.dumps(result))
        assert loaded == result
        assert loaded.return_value == 8

    def test_a_function_that_is_no_task_cannot_be_loaded(self) -> None:
        # Under its name stands a plain function, which has no attribute `func`.
        pickled = pickle.dumps(Task(func=parameters))
        with pytest.raises(ValueError, match="to point to a Task instance"):
            pickle.loads(pickled)

    def test_deepcopy_shares_nothing_that_changes(self) -> None:
        result = double.enqueue([1])
        twin = copy.deepcopy(result)
        assert twin == result
        twin.args[0].append(2)
        twin.worker_ids.append("someone")
        assert result.args == [[1]]
        assert result.attempts == 0

    def test_using_keeps_the_class_and_its_options(self) -> None:
        assert limited.using(queue_name="default").limit == 5  # type: ignore[attr-defined]


class TestImmutability:
    def test_nothing_can_be_set(self) -> None:
        result = fail.enqueue()
        context = TaskContext(task_result=result)
        frozen = [(double, "priority"), (result, "status"), (context, "task_result")]
        for thing, name in [*frozen, (result.errors[0], "traceback")]:
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(thing, name, None)

    def test_arguments_are_copies(self) -> None:
        numbers = [1]
        result = double.enqueue(numbers)
        numbers.append(2)
        assert result.args == [[1]]


class TestValidation:
    def test_naive_run_after_is_for_projects_without_time_zones(self) -> None:
        naive = datetime(2030, 1, 1)
        with pytest.raises(exceptions.InvalidTask, match="run_after must be an aware datetime"):
            double.using(run_after=naive)
        with override_settings(USE_TZ=False):
            assert double.using(run_after=naive).run_after == naive

    def test_a_function_inside_a_function_is_no_task(self) -> None:
        def inner() -> None: ...

        with pytest.raises(exceptions.InvalidTask, match="must be defined at a module level"):
            task(inner)

    @pytest.mark.parametrize(
        ("value", "normal"),
        [
            (b"caf\xc3\xa9", "café"),
            ((1, (2.5, None)), [1, [2.5, None]]),
            ({b"key": (True,)}, {"key": [True]}),
        ],
    )
    def test_arguments_become_json(self, value: object, normal: object) -> None:
        assert double.enqueue(value).args == [normal]

    @pytest.mark.parametrize(
        ("value", "error", "message"),
        [
            (b"\xff", ValueError, "Unsupported value: <class 'bytes'>"),
            ({1, 2}, TypeError, "Unsupported type: <class 'set'>"),
        ],
    )
    def test_arguments_that_json_cannot_say(
        self, value: object, error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            double.enqueue(value)


class TestContext:
    def test_attempt_is_the_number_of_workers_that_began(self) -> None:
        result = double.enqueue(1)
        result.worker_ids.extend(["one", "two"])
        assert TaskContext(task_result=result).attempt == 2

    def test_the_first_attempt_is_1(self) -> None:
        result = tell_attempt.using(backend="immediate").enqueue()
        assert result.status == TaskResultStatus.SUCCESSFUL
        assert result.return_value == 1


def test_default_task_backend_follows_the_setting() -> None:
    assert default_task_backend == task_backends["default"]
    with override_settings(TASKS={"default": TASKS["complaining"]}):
        assert default_task_backend == task_backends["default"]
        assert isinstance(task_backends["default"], ComplainingBackend)
