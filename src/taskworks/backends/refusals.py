"""What of a task, and of a backend, cannot be stored, or not be executed by a worker."""

from datetime import UTC, datetime, timedelta
from typing import Any

from taskworks.discovery import resolve
from taskworks.exceptions import InvalidTask, TaskNotFound
from taskworks.framework import Task as StandardTask
from taskworks.options.names import is_name
from taskworks.options.policy import Policy

# In characters.
MAX_ALIAS = 64
MAX_QUEUE_NAME = 128
MAX_TASK_PATH = 512


def refuse_bad_run_after(run_after: Any) -> None:
    """Raise InvalidTask for a value that is not a time, or that no database can store."""
    if not isinstance(run_after, datetime | timedelta | None):
        raise InvalidTask(
            f"run_after must be a datetime, a timedelta or None, not {type(run_after).__name__}."
        )
    if isinstance(run_after, datetime) and run_after.tzinfo:
        try:
            run_after.astimezone(UTC)
        except OverflowError:
            raise InvalidTask(f"run_after is out of range: {run_after}.") from None


def refuse_bad_name(what: str, name: Any, limit: int) -> None:
    """Raise InvalidTask for a name that is not one, or longer than its column."""
    if not is_name(name, limit):
        raise InvalidTask(
            f"{what} must be 1 to {limit} printable characters without surrounding spaces, "
            f"not {name!r}."
        )


def refuse_bad_transaction(policy: Policy, database: str) -> None:
    """Raise InvalidTask if a task with this policy cannot be transactional in this database."""
    from taskworks.execution.transaction import obstacle

    if reason := obstacle(policy, database):
        raise InvalidTask(reason)


def defined_at_its_path(task: StandardTask) -> StandardTask:
    """Return the task at this path; raise InvalidTask if that is not the same function."""
    path = task.module_path
    try:
        found = resolve(path)
    except TaskNotFound as error:
        raise InvalidTask(
            f"Workers cannot import {path!r}: {error.reason}. Define the task in an importable "
            "module, under the name of its function."
        ) from error
    if found.func is not task.func or path.startswith("__main__."):
        raise InvalidTask(
            f"No worker could find this task: {path!r} leads to something else. Define the task "
            "in an importable module, under the name of its function."
        )
    return found
