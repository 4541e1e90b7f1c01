"""The backend for tests: it keeps what was enqueued, and executes nothing."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from django.utils import timezone

from ..base import Task, TaskResult
from ..exceptions import TaskResultDoesNotExist
from ..signals import task_enqueued
from .base import BaseTaskBackend


class DummyBackend(BaseTaskBackend):
    """Keeps the results of all enqueued runs in `results`, for tests."""

    supports_defer = True
    supports_async_task = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self.results: list[TaskResult] = []

    def enqueue(self, task: Task, args: Sequence[Any], kwargs: dict[str, Any]) -> TaskResult:
        """Keep the result of a run."""
        self.validate_task(task)
        result = self._new_result(task, args, kwargs)
        self._store_result(result)
        # A copy, so that changes to one do not affect the other.
        return deepcopy(result)

    def _store_result(self, result: TaskResult) -> None:
        result._write(enqueued_at=timezone.now())
        self.results.append(result)
        task_enqueued.send(type(self), task_result=result)

    def get_result(self, result_id: str) -> TaskResult:
        """Return the result with this id."""
        # Every thread has its own backend, so supports_get_result is False.
        for result in self.results:
            if result.id == result_id:
                return result
        raise TaskResultDoesNotExist(result_id)

    async def aget_result(self, result_id: str) -> TaskResult:
        """See get_result()."""
        return self.get_result(result_id)

    def clear(self) -> None:
        """Delete all results."""
        self.results.clear()
