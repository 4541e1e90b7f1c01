"""The task that calls a schedule's callable which is not a task itself, with one message."""

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asgiref.sync import async_to_sync
from django.apps import apps
from django.db import models, router

from taskworks.context import TaskContext
from taskworks.database.shards import database_of
from taskworks.definition import Task
from taskworks.exceptions import ResourceNotFound
from taskworks.stand_ins import as_our_task
from taskworks.task_copies import unvalidated_copy, unvalidated_task
from taskworks.timetables.callables import TASK, Described, find, resolve

if TYPE_CHECKING:
    from taskworks.models import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class CallableTask(Task[..., Any]):
    """The task below, and the path of what it is to call, which its runs store."""

    callable_path: str | None = None


def task_for(described: Described) -> Task:
    """
    Return the task that is described, or the one that calls what is described.

    Raise TaskNotFound if its path leads nowhere, InvalidTask if it was a task and is not any more.
    """
    found = find(described)
    if described.kind == TASK:
        return as_our_task(found)
    return unvalidated_copy(call, callable_path=described.path)


def _call(context: TaskContext) -> None:
    """
    Call what the run's schedule names, with a dictionary: the schedule's row as ``task``, the
    firing as ``message`` and ``channel_message``. Then save the userdata if that has changed.
    """
    schedule = _schedule(context)
    message = {
        "id": schedule.pk,
        "ts": context.task_result.enqueued_at.timestamp(),  # type: ignore[union-attr]
        "label": schedule.label,
        "run": context.task_result.id,
        "scheduled_for": context.scheduled_for,
    }
    function = resolve(schedule.described)
    before = schedule.userdata_as_text
    answer = function({"task": schedule, "message": message, "channel_message": message})
    if inspect.isawaitable(answer):
        async_to_sync(_awaited)(answer)
    if schedule.userdata_as_text != before and _is_there(schedule):
        schedule.save(update_fields=["userdata"])


def _is_there(schedule: "Schedule") -> bool:
    """Return whether the row exists: the callable may have deleted it, in order to run no more."""
    rows = type(schedule)._base_manager.using(schedule._state.db)  # and from no replica
    return rows.filter(pk=schedule.pk).exists()


async def _awaited(answer: Any) -> Any:
    return await answer


def _schedule(context: TaskContext) -> "Schedule":
    # Without importing models, which are above.
    model: Any = apps.get_model("taskworks.Schedule")
    alias = database_of(context.task_result.backend) or router.db_for_write(model)
    rows: models.QuerySet[Schedule] = model._base_manager.using(alias)
    try:
        return rows.get(pk=context.schedule_id or 0)
    except model.DoesNotExist:
        raise ResourceNotFound(
            f"The schedule {context.schedule_id} has been deleted, and the run was to call what it "
            "named."
        ) from None


# Not made by the decorator: a project may have no queue or backend of the default's name.
_call.__name__ = _call.__qualname__ = "call"
call = unvalidated_task(CallableTask, _call, takes_context=True)
