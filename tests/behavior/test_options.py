"""Where options work: any backend, either decorator, every Django."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import django
import pytest
from django.utils import timezone

from taskworks import Task, TaskResultStatus, default_task_backend, framework, task
from taskworks.backends.dummy import DummyBackend
from taskworks.backends.immediate import ImmediateBackend
from taskworks.exceptions import InvalidTask
from taskworks.testing import run_tasks
from tests.behavior import DATABASE_BACKEND, LABELLING_BACKEND, LabelledTask, Settings

STANDARD = "django.tasks" if django.VERSION >= (6, 0) else "taskworks.framework.backport"
standard_task: Callable[..., Any] = import_module(STANDARD).task
takes_options = pytest.mark.skipif(
    django.VERSION[:2] == (6, 0), reason="the decorator of Django 6.0 takes no options"
)

OWN = {
    "immediate": f"{STANDARD}.backends.immediate.ImmediateBackend",
    "dummy": f"{STANDARD}.backends.dummy.DummyBackend",
}
TWINS = {
    "immediate": "taskworks.backends.immediate.ImmediateBackend",
    "dummy": "taskworks.backends.dummy.DummyBackend",
}
EVERY = [*OWN.values(), *TWINS.values(), DATABASE_BACKEND]
every_backend = pytest.mark.parametrize("path", EVERY)


class LabellingImmediate(ImmediateBackend):
    task_class = LabelledTask


class LabellingDummy(DummyBackend):
    task_class = LabelledTask


LABELLING = [
    f"{__name__}.LabellingImmediate",
    f"{__name__}.LabellingDummy",
    LABELLING_BACKEND,
]


@task
def double(number: int) -> int:
    return 2 * number


def plain() -> None: ...


def use(settings: Settings, path: str) -> None:
    settings.TASKS = {"default": {"BACKEND": path, "QUEUES": ["default", "mail"]}}


def test_the_twins_differ_from_the_standards_in_the_class_of_tasks_only() -> None:
    assert issubclass(DummyBackend, framework.DummyBackend)
    assert issubclass(ImmediateBackend, framework.ImmediateBackend)
    assert DummyBackend.task_class is ImmediateBackend.task_class is Task


@every_backend
class TestOurDecorator:
    def test_makes_a_task_of_ours(self, settings: Settings, path: str) -> None:
        use(settings, path)
        made = task(priority=5, queue_name="mail")(plain)
        assert type(made) is Task
        assert (made.priority, made.queue_name) == (5, "mail")
        assert type(made.using(priority=6)) is Task

    def test_refuses_an_unknown_option(self, settings: Settings, path: str) -> None:
        use(settings, path)
        with pytest.raises(TypeError, match=r"no option 'prio'\. Did you mean 'priority'\?"):
            task(prio=5)(plain)

    def test_refuses_a_lambda(self, settings: Settings, path: str) -> None:
        use(settings, path)
        with pytest.raises(InvalidTask, match="at a module level"):
            task(lambda: None)


@pytest.mark.parametrize("path", [OWN["immediate"], TWINS["immediate"]])
def test_an_immediate_backend_runs_our_tasks(settings: Settings, path: str) -> None:
    use(settings, path)
    result = double.using(priority=5, queue_name="mail").enqueue(21)
    assert (result.status, result.return_value) == (TaskResultStatus.SUCCESSFUL, 42)
    assert result.task == double.using(priority=5, queue_name="mail")


@pytest.mark.parametrize("path", [OWN["immediate"], TWINS["immediate"]])
def test_an_immediate_backend_has_no_run_after(settings: Settings, path: str) -> None:
    use(settings, path)
    for run_after in (timedelta(hours=1), datetime(2100, 1, 1, tzinfo=UTC)):
        with pytest.raises(InvalidTask, match="does not support run_after"):
            double.using(run_after=run_after)


@pytest.mark.parametrize("path", [OWN["dummy"], TWINS["dummy"]])
class TestADummyBackend:
    def test_remembers_our_tasks(self, settings: Settings, path: str) -> None:
        use(settings, path)
        result = double.using(priority=5).enqueue(21)
        assert default_task_backend.results == [result]
        assert default_task_backend.get_result(result.id).args == [21]
        assert result.task == double.using(priority=5)

    def test_counts_a_delay_from_the_enqueueing(
        self, settings: Settings, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        use(settings, path)
        delayed = double.using(run_after=timedelta(hours=1))
        moment = datetime(2050, 6, 1, 12, tzinfo=UTC)
        monkeypatch.setattr(timezone, "now", lambda: moment)
        assert delayed.enqueue(21).task.run_after == moment + timedelta(hours=1)
        assert delayed.run_after == timedelta(hours=1)

    def test_gives_out_copies(self, settings: Settings, path: str) -> None:
        use(settings, path)
        result = double.using(run_after=timedelta(hours=1)).enqueue([21])
        result.args[0].append(22)
        assert default_task_backend.results[0].args == [[21]]


@pytest.mark.parametrize("path", LABELLING)
class TestAnOptionOfABackendsOwn:
    def test_is_taken_by_our_decorator(self, settings: Settings, path: str) -> None:
        use(settings, path)
        made = task(label="blue")(plain)
        assert (type(made), made.label) == (LabelledTask, "blue")

    @takes_options
    def test_is_taken_by_the_standards_decorator(self, settings: Settings, path: str) -> None:
        use(settings, path)
        made = standard_task(label="blue")(plain)
        assert (type(made), made.label) == (LabelledTask, "blue")
        assert made.using(priority=5).label == "blue"

    @takes_options
    def test_is_refused_by_the_standards_decorator_if_unknown(
        self, settings: Settings, path: str
    ) -> None:
        use(settings, path)
        with pytest.raises(TypeError, match=r"no option 'lable'\. Did you mean 'label'\?"):
            standard_task(lable="blue")(plain)

    def test_has_its_default_in_the_standards_decorator(
        self, settings: Settings, path: str
    ) -> None:
        use(settings, path)
        for made in (standard_task(plain), standard_task(queue_name="mail")(plain)):
            assert (type(made), made.label) == (LabelledTask, "none")


@pytest.mark.parametrize("path", OWN.values())
class TestAnOptionOfOursUnderTheStandardsBackends:
    """Their task_class is the standard's, so the class of the task decides."""

    def test_is_kept(self, settings: Settings, path: str) -> None:
        use(settings, path)
        made = LabelledTask(func=double.func, label="blue")
        assert made.using(priority=5).label == "blue"
        result = made.enqueue(21)
        assert result.task.label == "blue"
        assert result.args == [21]

    def test_is_refused_by_the_standards_decorator(self, settings: Settings, path: str) -> None:
        use(settings, path)
        with pytest.raises(TypeError, match="label"):
            standard_task(label="blue")(plain)


@every_backend
def test_the_standards_decorator_works_without_options(settings: Settings, path: str) -> None:
    use(settings, path)
    made = standard_task(priority=5)(plain)
    assert isinstance(made, framework.Task)
    assert made.priority == 5
    assert isinstance(made, Task) == (path not in OWN.values())


@pytest.mark.parametrize("path", [*TWINS.values(), DATABASE_BACKEND])
def test_a_task_of_the_standards_decorator_has_our_ways(settings: Settings, path: str) -> None:
    use(settings, path)
    made = standard_task(plain)
    with pytest.raises(TypeError, match=r"no option 'prio'\. Did you mean 'priority'\?"):
        made.using(prio=5)


@pytest.mark.django_db
def test_a_task_of_the_standards_class_can_be_stored_and_executed() -> None:
    halve.enqueue(42)
    [result] = run_tasks()
    assert result.return_value == 21
    assert result.task == halve


def _standard(function: Callable[..., Any]) -> Any:
    """A task of the standard's own class, as other packages bring along."""
    options = {"priority": 0, "backend": "default", "queue_name": "default", "run_after": None}
    return framework.Task(func=function, takes_context=False, **options)


@_standard
def halve(number: int) -> int:
    return number // 2


def test_a_delay_is_part_of_what_makes_tasks_equal() -> None:
    hour = timedelta(hours=1)
    assert double.using(run_after=hour) == double.using(run_after=hour)
    assert double.using(run_after=hour) != double
