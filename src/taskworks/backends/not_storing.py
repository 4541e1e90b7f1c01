"""What Taskworks adds to the standard's backends, which do not store runs."""

from typing import Any

from django.core.checks import CheckMessage
from django.db import transaction
from django.utils.crypto import get_random_string

from taskworks import framework
from taskworks.backends.enqueued_results import become
from taskworks.backends.unique_tasks import refuse_conflict_on_commit, unique_of
from taskworks.framework import TaskResultStatus
from taskworks.result import TaskResult


class NotStoring:
    """Adds ``enqueue_on_commit`` and a check to a backend that has only ``enqueue``."""

    alias: str

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """Check what TASKS says of this backend."""
        from taskworks import checks

        return list(checks.check_entry(self.alias))

    def enqueue_on_commit(
        self, task: framework.Task, args: Any, kwargs: Any
    ) -> TaskResult[..., Any]:
        """
        Enqueue when the transaction on the default database commits, or at once if there is none.
        The returned result becomes that of the run when it is enqueued.
        """
        self.validate_task(task)  # type: ignore[attr-defined]
        if transaction.get_connection().in_atomic_block:
            refuse_conflict_on_commit(task)
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
            is_new=None if unique_of(task) else True,
        )

        def enqueue() -> None:
            become(result, self.enqueue(task, args, kwargs))  # type: ignore[attr-defined]

        transaction.on_commit(enqueue)
        return result
