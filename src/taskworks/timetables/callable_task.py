"""The task by which a callable is executed that is none itself: it gets one message."""

import inspect
from typing import TYPE_CHECKING, Any

from asgiref.sync import async_to_sync
from django.apps import apps
from django.db import models, router

from taskworks.context import TaskContext
from taskworks.definition import unvalidated
from taskworks.exceptions import ResourceNotFound
from taskworks.timetables.callables import resolve

if TYPE_CHECKING:
    from taskworks.models import Schedule


def _call(context: TaskContext) -> None:
    """
    Call what the run's schedule names, with a dictionary of the schedule's row as ``task``, and of
    the firing as ``message`` and ``channel_message``; then save the userdata, if that has changed.
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
    """The callable may have deleted it, as the way to run no more."""
    rows = type(schedule)._base_manager.using(schedule._state.db)  # and from no replica
    return rows.filter(pk=schedule.pk).exists()


async def _awaited(answer: Any) -> Any:
    return await answer


def _schedule(context: TaskContext) -> "Schedule":
    # Without importing models, which are above.
    model: Any = apps.get_model("taskworks.Schedule")
    rows: models.QuerySet[Schedule] = model._base_manager.using(router.db_for_write(model))
    try:
        return rows.get(pk=context.schedule_id or 0)
    except model.DoesNotExist:
        raise ResourceNotFound(
            f"The schedule {context.schedule_id} is gone, and with it what the run is to call."
        ) from None


# Not by the decorator: a project may have no queue or backend of the default's name.
_call.__name__ = _call.__qualname__ = "call"
call = unvalidated(_call, takes_context=True)
PATH = call.module_path
