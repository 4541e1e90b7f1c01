"""Fixtures of the tests of behavior."""

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from taskworks import Task, TaskResult
from tests.behavior import Enqueue


@pytest.fixture(params=["sync", "async"])
def enqueue(request: pytest.FixtureRequest) -> Enqueue:
    """Both ways to enqueue a task: ``enqueue(task, *args, **kwargs)``."""

    def enqueue(task: Task, *args: Any, **kwargs: Any) -> TaskResult:
        method = task.enqueue if request.param == "sync" else async_to_sync(task.aenqueue)
        return method(*args, **kwargs)

    return enqueue


@pytest.fixture(params=["sync", "async"])
def get_result(request: pytest.FixtureRequest) -> Callable[[Any, Any], TaskResult]:
    """Both ways to get a result, of a task or a backend: ``get_result(owner, result_id)``."""

    def get_result(owner: Any, result_id: Any) -> TaskResult:
        if request.param == "sync":
            return owner.get_result(result_id)
        return async_to_sync(owner.aget_result)(result_id)

    return get_result


@pytest.fixture(params=["sync", "async"])
def refresh(request: pytest.FixtureRequest) -> Callable[[TaskResult], None]:
    """Both ways to refresh a result: ``refresh(result)``."""

    def refresh(result: TaskResult) -> None:
        result.refresh() if request.param == "sync" else async_to_sync(result.arefresh)()

    return refresh
