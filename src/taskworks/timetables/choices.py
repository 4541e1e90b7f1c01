"""What can be scheduled in the admin: tasks, and the callables that settings allow."""

from taskworks import discovery
from taskworks.conf import conf
from taskworks.discovery import is_task, task_of
from taskworks.timetables.callables import Described, describe
from taskworks.timetables.declared import declarations


def offered() -> dict[str, Described]:
    """
    Return, by path, the tasks in the ``tasks`` modules of installed apps, those that code
    schedules, and what ``TASKWORKS["SCHEDULE_CALLABLES"]`` names, except what no worker could find.
    """
    found = {path: described for path in _paths() if (described := _described(path))}
    return dict(sorted(found.items()))


def _paths() -> set[str]:
    tasks = [task_of(item) for module in discovery.task_modules() for item in vars(module).values()]
    tasks += [declaration.task for declaration in declarations.values()]
    return {task.module_path for task in tasks if is_task(task)} | {*conf().schedule_callables}


def _described(path: str) -> Described | None:
    try:
        return describe(path)
    except ValueError:  # a system check reports it
        return None
