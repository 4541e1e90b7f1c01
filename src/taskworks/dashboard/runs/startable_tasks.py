"""The tasks that can be started from the dashboard."""

from typing import Any

from taskworks import discovery
from taskworks.backends.database import DatabaseBackend
from taskworks.conf import nearest
from taskworks.dashboard.access import Access, Action
from taskworks.exceptions import InvalidTask, InvalidTaskBackend, TaskNotFound
from taskworks.filtering.offered_tasks import offered_tasks
from taskworks.options.tasks_setting import backend_of
from taskworks.timetables.choices import offered


def startable(access: Access) -> dict[str, Any]:
    """Return, by path, the tasks that this person may start, in the order of their paths."""
    tasks: dict[str, Any] = {task.module_path: task for task in offered_tasks()}
    for path in offered():
        if (task := _task_at(path)) is not None:
            tasks[path] = task
    return {
        path: task
        for path, task in sorted(tasks.items())
        if is_stored(task) and access.may(Action.RUN, task)
    }


def startable_task(path: str, access: Access) -> Any:
    """Return the task at this path; raise ValueError if there is none that can be started."""
    tasks = startable(access)
    if path not in tasks:
        known = nearest(path, [*tasks]) if tasks else ""
        raise ValueError(
            f"There is no task {path[:200]!r} that you can start here. Tasks are those in the "
            f"tasks modules of installed apps, and those that have schedules.{known[:1000]}"
        )
    return tasks[path]


def is_stored(task: Any) -> bool:
    """Return whether a run of the task is stored, and executed by a worker."""
    try:
        return isinstance(backend_of(task.backend), DatabaseBackend)
    except InvalidTaskBackend:
        return False


def _task_at(path: str) -> Any:
    try:
        return discovery.resolve(path)
    except (TaskNotFound, InvalidTask):
        return None
