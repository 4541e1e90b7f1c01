"""Enqueue on commit, for backends that do not store runs."""

from typing import Any

from django.db import transaction
from django.utils.crypto import get_random_string

from taskworks import framework
from taskworks.framework import TaskResultStatus
from taskworks.result import TaskResult


class EnqueueOnCommit:
    """Adds ``enqueue_on_commit`` to a backend that has only ``enqueue``."""

    alias: str

    def enqueue_on_commit(
        self, task: framework.Task, args: Any, kwargs: Any
    ) -> TaskResult[..., Any]:
        """
        Enqueue when the transaction on the default database commits, or at once if there is none.
        The returned result gets the run's id and state when it is enqueued.
        """
        self.validate_task(task)  # type: ignore[attr-defined]
        result: TaskResult[..., Any] = TaskResult(
            task=task,
            id=get_random_string(32),
            status=TaskResultStatus.READY,
            enqueued_at=None,
            started_at=None,
            finished_at=None,
            last_attempted_at=None,
            args=args,
            kwargs=kwargs,
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )

        def enqueue() -> None:
            enqueued = self.enqueue(task, args, kwargs)  # type: ignore[attr-defined]
            object.__setattr__(result, "id", enqueued.id)
            result._take_over(enqueued)

        transaction.on_commit(enqueue)
        return result
