"""The keywords of a task may have any name, also one that a function of ours has."""

from typing import Any

import pytest
from asgiref.sync import async_to_sync

from taskworks import Task, TaskResult
from taskworks.backends.dummy import DummyBackend
from taskworks.backends.immediate import ImmediateBackend
from taskworks.framework import ImmediateBackend as StandardImmediateBackend
from taskworks.framework import Task as StandardTask
from taskworks.schedules.firing import fire_now
from taskworks.stand_ins import as_our_task
from taskworks.testing import run_tasks
from tests.behavior import named, run_of, run_worker
from tests.behavior.named import EVERY_NAME, TASKS
from tests.schedules.firing import scheduled
from tests.stopping.runs import wait_until, working

pytestmark = pytest.mark.django_db(transaction=True)


async def _aenqueue(task: Task) -> TaskResult:
    return await task.aenqueue(**EVERY_NAME)


async def _aenqueue_on_commit(task: Task) -> TaskResult:
    return await task.aenqueue_on_commit(**EVERY_NAME)


DOORS: dict[str, Any] = {
    "enqueue": lambda task: task.enqueue(**EVERY_NAME),
    "aenqueue": async_to_sync(_aenqueue),
    "enqueue_many": lambda task: task.enqueue_many([EVERY_NAME])[0],
    "aenqueue_many": lambda task: async_to_sync(task.aenqueue_many)([EVERY_NAME])[0],
    "enqueue_on_commit": lambda task: task.enqueue_on_commit(**EVERY_NAME),
    "aenqueue_on_commit": async_to_sync(_aenqueue_on_commit),
    "using": lambda task: task.using(priority=1).enqueue(**EVERY_NAME),
    "schedule": lambda task: fire_now(
        scheduled(task.module_path, label=task.name, kwargs=EVERY_NAME)
    ),
}
each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)


async def _acalled(task: Task, given: dict[str, int]) -> Any:
    return await task.acall(*_context_of(task), **given)


def _context_of(task: Task) -> list[Any]:
    return [None] if task.takes_context else []


@pytest.mark.parametrize("door", DOORS)
def test_every_name_goes_through_every_door(door: str) -> None:
    results = [DOORS[door](task) for task in TASKS]
    run_worker()
    assert [run_of(result).return_value for result in results] == [EVERY_NAME] * len(TASKS)


@pytest.mark.thorough_on_servers
def test_every_name_reaches_a_child_process() -> None:
    tasks = [task.using(executor="process") for task in TASKS]
    with working(task_processes=1):
        runs = [wait_until(task.enqueue(**EVERY_NAME), "successful", "failed") for task in tasks]
    assert [run.return_value for run in runs] == [EVERY_NAME] * len(TASKS)


@each_task
def test_every_name_is_taken_under_the_test_kit(task: Task) -> None:
    task.enqueue(**EVERY_NAME)
    assert [result.return_value for result in run_tasks()] == [EVERY_NAME]


@each_task
def test_every_name_is_taken_by_a_call(task: Task) -> None:
    assert task.call(*_context_of(task), **EVERY_NAME) == EVERY_NAME
    assert async_to_sync(_acalled)(task, EVERY_NAME) == EVERY_NAME


@each_task
@pytest.mark.parametrize("backend", [ImmediateBackend, StandardImmediateBackend])
def test_every_name_is_taken_by_the_immediate_backends(task: Task, backend: Any) -> None:
    result = backend("default", {"QUEUES": []}).enqueue(task, [], EVERY_NAME)
    assert result.return_value == EVERY_NAME


@each_task
def test_every_name_is_taken_by_the_dummy_backend(task: Task) -> None:
    assert (
        DummyBackend("default", {"QUEUES": []}).enqueue(task, [], EVERY_NAME).kwargs == EVERY_NAME
    )


@pytest.mark.parametrize("task", [named.take_self, named.take_typed, named.take_typed_async])
def test_a_parameter_may_be_called_self(task: Task) -> None:
    names = ["self", "function", "endpoint", "args", "kwargs", "cls", "func"]
    known = task.func.__wrapped__ if task.typed else task.func
    given = {name: 1 for name in names if name in known.__code__.co_varnames}
    assert task.call(**given) == [1] * len(given)
    assert async_to_sync(_acalled)(task, given) == [1] * len(given)
    result = task.enqueue(**given)
    run_worker()
    assert run_of(result).return_value == [1] * len(given)


def test_a_task_of_the_standard_takes_every_name() -> None:
    # Every field by name, as Django's decorator passes them: Django 6.0 has no defaults.
    standard = StandardTask(
        func=named.take.func,
        priority=0,
        queue_name="default",
        backend="default",
        takes_context=False,
        run_after=None,
    )
    assert as_our_task(standard).call(**EVERY_NAME) == EVERY_NAME
