"""What ``@task`` makes of a function, and what it refuses."""

from typing import Any

import pytest
from django.utils.module_loading import import_string

from taskworks import Task, TaskContext, task
from taskworks.exceptions import InvalidTask
from tests import tasks
from tests.behaviour import DATABASE_BACKEND, LABELLING_BACKEND, LabelledTask, Settings


def plain() -> int:
    return 1


async def plain_async() -> int:
    return 1


def with_context(context: TaskContext, number: int) -> int:
    return context.attempt + number


def context_last(number: int, context: TaskContext) -> None:
    """Not where a context belongs."""


class Holder:
    def method(self) -> None:
        """No task, since it needs a self."""


def test_the_bare_decorator_gives_a_task_with_the_defaults() -> None:
    made = task(plain)
    assert isinstance(made, Task)
    assert made.func is plain
    assert (made.priority, made.queue_name, made.backend) == (0, "default", "default")
    assert (made.run_after, made.takes_context) == (None, False)


def test_the_called_decorator_gives_a_task_with_its_options() -> None:
    made = task(priority=7, queue_name="mail", backend="other", takes_context=True)(with_context)
    assert isinstance(made, Task)
    assert (made.priority, made.queue_name, made.backend) == (7, "mail", "other")
    assert made.takes_context


def test_the_decorator_called_without_options_gives_the_same_task() -> None:
    assert task()(plain) == task(plain)


def test_a_coroutine_function_may_be_a_task() -> None:
    assert task(plain_async).func is plain_async


def test_a_task_is_called_what_its_function_is_called() -> None:
    assert tasks.noop.name == "noop"


def test_two_tasks_may_have_the_same_name() -> None:
    def define() -> Any:
        def noop() -> None: ...

        noop.__qualname__ = "noop"
        return task(noop)

    assert define().name == tasks.noop.name


def test_the_path_of_a_task_leads_to_it() -> None:
    assert tasks.noop.module_path == "tests.tasks.noop"
    assert import_string(tasks.noop.module_path) is tasks.noop


@pytest.mark.parametrize("function", [any, Holder().method, Holder, lambda: None, "plain", None])
def test_only_a_function_of_a_module_may_be_a_task(function: Any) -> None:
    with pytest.raises(InvalidTask, match=r"^Task function must be defined at a module level."):
        task()(function)


def test_a_lambda_is_told_what_to_do_instead() -> None:
    with pytest.raises(InvalidTask, match=r"A lambda has no name .*: use def"):
        task(lambda: None)


def test_a_nested_function_is_no_task() -> None:
    def nested() -> None: ...

    with pytest.raises(InvalidTask, match=r"^Task function must be defined at a module level."):
        task(nested)


@pytest.mark.parametrize("function", [plain, context_last])
def test_a_task_that_takes_a_context_takes_it_first(function: Any) -> None:
    with pytest.raises(InvalidTask, match=r"does not have a first argument of 'context'"):
        task(takes_context=True)(function)


def test_run_after_is_no_option_of_the_decorator() -> None:
    with pytest.raises(TypeError, match=r"@task decorator. Use .using\(run_after="):
        task(run_after=None)(plain)


def test_an_unknown_option_is_refused_and_the_nearest_one_named() -> None:
    with pytest.raises(TypeError, match=r"no option 'prioritty'.*Did you mean 'priority'"):
        task(prioritty=1)(plain)


def test_an_option_like_no_other_is_refused_and_all_are_named() -> None:
    with pytest.raises(
        TypeError, match=r"no option 'xyz'.*Choose from: .*queue_name.*takes_context"
    ):
        task(xyz=1)(plain)


class TestUsing:
    def test_without_options_gives_an_equal_copy(self) -> None:
        copy = tasks.noop.using()
        assert copy == tasks.noop
        assert copy is not tasks.noop

    def test_gives_a_copy_with_the_options(self) -> None:
        changed = tasks.noop.using(priority=5, queue_name="mail")
        assert (changed.priority, changed.queue_name) == (5, "mail")
        assert changed.func is tasks.noop.func
        assert changed != tasks.noop

    def test_leaves_the_original_alone(self) -> None:
        tasks.noop.using(priority=5)
        assert tasks.noop.priority == 0

    def test_in_a_chain_keeps_earlier_values(self) -> None:
        chained = tasks.noop.using(priority=5).using(queue_name="mail")
        assert (chained.priority, chained.queue_name) == (5, "mail")

    def test_none_keeps_a_value_and_nought_does_not(self) -> None:
        changed = tasks.noop.using(priority=5)
        assert changed.using(priority=None).priority == 5
        assert changed.using(priority=0).priority == 0

    @pytest.mark.parametrize("name", ["func", "takes_context"])
    def test_refuses_what_belongs_to_the_function(self, name: str) -> None:
        with pytest.raises(TypeError, match=f"no option {name!r}"):
            tasks.noop.using(**{name: plain})

    def test_refuses_an_unknown_option(self) -> None:
        with pytest.raises(TypeError, match=r"no option 'queue'.*Did you mean 'queue_name'"):
            tasks.noop.using(queue="mail")


def test_a_task_cannot_be_modified() -> None:
    with pytest.raises(AttributeError):
        tasks.noop.priority = 5  # type: ignore[misc]
    assert tasks.noop.priority == 0


def test_equal_tasks_are_one_in_a_set() -> None:
    assert len({tasks.noop, tasks.noop.using(), tasks.noop.using(priority=5)}) == 2


class TestTaskClassOfABackend:
    @pytest.fixture(autouse=True)
    def labelling(self, settings: Settings) -> None:
        settings.TASKS = {
            "default": {"BACKEND": LABELLING_BACKEND, "QUEUES": []},
            "plain": {"BACKEND": DATABASE_BACKEND},
        }

    def test_is_the_class_of_its_tasks(self) -> None:
        assert type(task(plain)) is LabelledTask

    def test_has_the_defaults_of_its_options(self) -> None:
        assert task(plain).label == "none"

    def test_keeps_their_values(self) -> None:
        made = task(label="blue")(plain)
        assert made.label == "blue"
        assert made.using(priority=5).label == "blue"
        assert made.using(label="red").label == "red"

    def test_refuses_unknown_options_by_its_own_names(self) -> None:
        with pytest.raises(TypeError, match=r"no option 'lable'.*Did you mean 'label'"):
            task(lable="blue")(plain)

    def test_does_not_reach_another_backends_tasks(self) -> None:
        with pytest.raises(TypeError, match=r"no option 'label'"):
            task(backend="plain", label="blue")(plain)
