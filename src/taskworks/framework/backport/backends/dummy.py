"""The backend for tests: it remembers what was enqueued, and runs nothing."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from django.utils import timezone

from ..base import Task, TaskResult
from ..exceptions import TaskResultDoesNotExist
from ..signals import task_enqueued
from .base import BaseTaskBackend


class DummyBackend(BaseTaskBackend):
    """Keeps every enqueued run in `results`, where a test can look at it."""

    supports_defer = True
    supports_async_task = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self.results: list[TaskResult] = []

    def enqueue(self, task: Task, args: Sequence[Any], kwargs: dict[str, Any]) -> TaskResult:
        """Remember the run."""
        self.validate_task(task)
        result = self._new_result(task, args, kwargs)
        self._store_result(result)
        # A copy, so that neither side's changes reach the other.
        return deepcopy(result)

    def _store_result(self, result: TaskResult) -> None:
        result._write(enqueued_at=timezone.now())
        self.results.append(result)
        task_enqueued.send(type(self), task_result=result)

    def get_result(self, result_id: str) -> TaskResult:
        """Return the remembered run of this id."""
        # Other threads have backends of their own: supports_get_result stays False.
        for result in self.results:
            if result.id == result_id:
                return result
        raise TaskResultDoesNotExist(result_id)

    async def aget_result(self, result_id: str) -> TaskResult:
        """See get_result()."""
        return self.get_result(result_id)

    def clear(self) -> None:
        """Forget every run."""
        self.results.clear()
