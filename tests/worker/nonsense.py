"""Tasks of runs whose rows somebody has filled with nonsense."""

from datetime import timedelta
from typing import Any

from taskworks import Snooze, TaskContext, task
from taskworks.reserved_metadata import OF_SCHEDULE


@task(takes_context=True)
def look_around(context: TaskContext, *args: Any, **kwargs: Any) -> list[Any]:
    """All that a task can see of its run."""
    return [str(context.scheduled_for), context.schedule_id, context.schedule_label]


@task(takes_context=True)
def report(context: TaskContext, *args: Any, **kwargs: Any) -> None:
    context.add_message("here")
    context.metadata["seen"] = True
    context.save_metadata()


@task(takes_context=True)
def pretend(context: TaskContext) -> None:
    context.metadata[OF_SCHEDULE] = "x"
    context.save_metadata()


@task(takes_context=True)
def snooze(context: TaskContext, *args: Any, **kwargs: Any) -> None:
    raise Snooze("later", after=timedelta(hours=1))


@task(max_attempts=3, backoff=timedelta(hours=1))
def fail(*args: Any, **kwargs: Any) -> None:
    raise ValueError("no")


@task(delivery="at_most_once")
def once(*args: Any, **kwargs: Any) -> None:
    """Its start is written first."""


TASKS = (look_around, report, snooze, fail, once)
