"""The typed tasks that APIs offer by name: those in the settings, and decorated ones."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar, overload

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from taskworks import discovery
from taskworks.compat import task_api
from taskworks.conf import conf
from taskworks.definition import Task
from taskworks.discovery import is_task
from taskworks.exceptions import InvalidTask
from taskworks.typed.typed_task import TypedTask

Declared = TypeVar("Declared", bound=Any)

# By task path.
_decorated: dict[str, Task[..., Any]] = {}
# What the offered tasks were computed from, and the tasks by name.
_cache: tuple[Any, dict[str, Task[..., Any]]] = (None, {})


@overload
def api_task(declared: Declared, /) -> Declared: ...
@overload
def api_task(
    *,
    name: str | None = ...,
    permission_classes: Sequence[Any] | None = ...,
    throttle_scope: str | None = ...,
    failure_message: str = ...,
) -> Any: ...
def api_task(declared: Any = None, /, **changes: Any) -> Any:
    """
    Offer a TypedTask, or a task made by ``@task(typed=True)``, by its name; return it unchanged.

    ``name``, ``permission_classes``, ``throttle_scope`` and ``failure_message`` are for functions;
    a class has them as attributes. The ``tasks`` modules of installed apps are imported before
    tasks are offered; the project must import other modules itself.

    Raise InvalidTask for anything but a typed task.
    """

    def offer(declared: Any) -> Any:
        task = _task_of(declared)
        if task is None:
            raise InvalidTask(
                f"{declared!r} is not a typed task. Use TypedTask or @task(typed=True)."
            )
        if changes:
            _change(task, changes)
        _decorated[task.module_path] = task
        return declared

    return offer if declared is None else offer(declared)


def _change(task: Any, changes: dict[str, Any]) -> None:
    task.func._taskworks_typed = replace(task.typed, **changes)


def offered() -> dict[str, Task[..., Any]]:
    """
    Return the offered tasks by name.

    Raise ImproperlyConfigured for a path in the settings that does not lead to a typed task, for
    two tasks with the same name, and for a ``tasks`` module that cannot be imported.
    """
    global _cache  # noqa: PLW0603 - one tuple, replaced as a unit
    if _sources() == _cache[0]:
        return _cache[1]
    tasks: dict[str, Task[..., Any]] = {}
    for problem in survey(tasks):
        raise ImproperlyConfigured(problem)
    _cache = (_sources(), tasks)
    return tasks


def _sources() -> tuple[Any, ...]:
    return conf().api_tasks, tuple(task_api.background_tasks()), {**_decorated}


def find(name: str) -> Task[..., Any] | None:
    """Return the offered task with this name, or None; raise as ``offered`` does."""
    return offered().get(name)


def named(path: str) -> str | None:
    """Return the name of the offered task with this task path, or None; raise as ``offered``."""
    return next((name for name, task in offered().items() if task.module_path == path), None)


def survey(tasks: dict[str, Task[..., Any]]) -> Iterator[str]:
    """Add the offered tasks to ``tasks`` by name; yield a sentence for each problem."""
    discovery.task_modules()
    for name, reason in discovery.failed.copy().items():
        yield f"The module {name} cannot be imported, so its tasks are not offered: {reason}"
    in_settings: dict[str, Task[..., Any]] = {}
    for setting, path in _paths():
        try:
            task = _imported(setting, path)
            in_settings[task.module_path] = task
        except ImproperlyConfigured as error:
            yield str(error)
    for path, task in {**_decorated, **in_settings}.items():
        name = task.typed.name  # type: ignore[union-attr]
        other = tasks.setdefault(name, task)
        if other is not task:
            yield (
                f"Two tasks are offered as {name!r}: {other.module_path} and {path}. "
                "Rename one of them."
            )


def _paths() -> Iterator[tuple[str, str]]:
    for path in conf().api_tasks:
        yield "TASKWORKS['API_TASKS']", path
    for path in task_api.background_tasks():
        yield task_api.BACKGROUND_TASKS, path


def _imported(setting: str, path: str) -> Task[..., Any]:
    try:
        declared = import_string(path)
    except Exception as error:
        raise ImproperlyConfigured(
            f"{setting} has {path!r}, which cannot be imported: {type(error).__name__}: {error}"
        ) from error
    task = _task_of(declared)
    if task is None:
        raise ImproperlyConfigured(
            f"{setting} has {path!r}, which is not a typed task. Use TypedTask or "
            "@task(typed=True)."
        )
    return task


def _task_of(declared: Any) -> Task[..., Any] | None:
    """Return the task of a TypedTask, or a typed task itself; otherwise None."""
    if isinstance(declared, type) and issubclass(declared, TypedTask):
        return getattr(declared, "task", None)
    return declared if is_task(declared) and getattr(declared, "typed", None) else None
