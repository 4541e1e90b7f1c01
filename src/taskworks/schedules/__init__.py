"""
Schedules: cron in the database. ``@cron`` and ``@every`` above ``@task``, rows, and sisy's names.

Names that need models are imported when they are used, because modules of tasks are imported before
models are ready.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from taskworks.timetables.declared import cron, every

if TYPE_CHECKING:
    from taskworks.compat.sisy.shortcuts import task_with_callable, taskinfo_with_label
    from taskworks.models import FAR_FUTURE, HAS_NOT_RUN, Firing, Schedule
    from taskworks.schedules.migrations import AddSchedule, ChangeSchedule, RemoveSchedule

__all__ = [
    "FAR_FUTURE",
    "HAS_NOT_RUN",
    "AddSchedule",
    "ChangeSchedule",
    "Firing",
    "RemoveSchedule",
    "Schedule",
    "cron",
    "every",
    "task_with_callable",
    "taskinfo_with_label",
]

_PLACES = {
    "FAR_FUTURE": "taskworks.models.planning",
    "HAS_NOT_RUN": "taskworks.models.planning",
    "Firing": "taskworks.models.firing",
    "Schedule": "taskworks.models.schedule",
    "AddSchedule": "taskworks.schedules.migrations",
    "ChangeSchedule": "taskworks.schedules.migrations",
    "RemoveSchedule": "taskworks.schedules.migrations",
    "task_with_callable": "taskworks.compat.sisy.shortcuts",
    "taskinfo_with_label": "taskworks.compat.sisy.shortcuts",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return __all__
