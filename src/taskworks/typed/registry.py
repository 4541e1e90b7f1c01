"""Which typed tasks are offered by their names: those of the settings, and those decorated."""

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
from taskworks.typed.task_class import TypedTask

Declared = TypeVar("Declared", bound=Any)

# Those decorated, by the paths of their tasks.
_decorated: dict[str, Task[..., Any]] = {}
_known: tuple[Any, dict[str, Task[..., Any]]] = (None, {})


@overload
def api_task(declared: Declared, /) -> Declared: ...
@overload
def api_task(
    *,
    name: str | None = ...,
    permission_classes: Sequence[Any] | None = ...,
    throttle_scope: str | None = ...,
) -> Any: ...
def api_task(declared: Any = None, /, **changes: Any) -> Any:
    """
    Offer a TypedTask, or a task made by ``@task(typed=True)``, by its name; returned as it is.

    ``name``, ``permission_classes`` and ``throttle_scope`` are for a function, which has no
    attributes for them. The ``tasks`` modules of installed apps are imported before tasks are
    offered; others must be imported by somebody.

    Raise InvalidTask for what is no typed task.
    """

    def offer(declared: Any) -> Any:
        task = _task_of(declared)
        if task is None:
            raise InvalidTask(f"{declared!r} is no typed task: use TypedTask or @task(typed=True).")
        if changes:
            _change(task, changes)
        _decorated[task.module_path] = task
        return declared

    return offer if declared is None else offer(declared)


def _change(task: Any, changes: dict[str, Any]) -> None:
    task.func._taskworks_typed = replace(task.typed, **changes)


def offered() -> dict[str, Task[..., Any]]:
    """
    The offered tasks, by their names.

    Raise ImproperlyConfigured for a path in the settings that leads to no typed task, for two tasks
    of one name, and for a module of tasks that cannot be imported.
    """
    global _known  # noqa: PLW0603 - a cache of one, replaced whole
    named_here = (conf().api_tasks, tuple(task_api.background_tasks()), {**_decorated})
    if named_here == _known[0]:
        return _known[1]
    tasks: dict[str, Task[..., Any]] = {}
    for problem in survey(tasks):
        raise ImproperlyConfigured(problem)
    _known = ((conf().api_tasks, tuple(task_api.background_tasks()), {**_decorated}), tasks)
    return tasks


def find(name: str) -> Task[..., Any] | None:
    """The offered task of this name, None if there is none; raise as ``offered`` does."""
    return offered().get(name)


def named(path: str) -> str | None:
    """The name of the offered task at this path, which a run stores; None if it is not offered."""
    return next((name for name, task in offered().items() if task.module_path == path), None)


def survey(tasks: dict[str, Task[..., Any]]) -> Iterator[str]:
    """Gather the offered tasks; tell each problem, in a sentence."""
    discovery.task_modules()
    for name, reason in discovery.failed.copy().items():
        yield f"The module {name} cannot be imported, and with it the tasks it offers: {reason}"
    found: dict[str, Task[..., Any]] = {}
    for setting, path in _paths():
        try:
            task = _found(setting, path)
            found[task.module_path] = task
        except ImproperlyConfigured as error:
            yield str(error)
    for path, task in {**_decorated, **found}.items():
        name = task.typed.name  # type: ignore[union-attr]
        other = tasks.setdefault(name, task)
        if other is not task:
            yield (
                f"Two tasks are offered as {name!r}: {other.module_path} and {path}. "
                "Give one of them another name."
            )


def _paths() -> Iterator[tuple[str, str]]:
    for path in conf().api_tasks:
        yield "TASKWORKS['API_TASKS']", path
    for path in task_api.background_tasks():
        yield task_api.BACKGROUND_TASKS, path


def _found(setting: str, path: str) -> Task[..., Any]:
    try:
        declared = import_string(path)
    except Exception as error:
        raise ImproperlyConfigured(
            f"{setting} names {path!r}, which cannot be imported: {type(error).__name__}: {error}"
        ) from error
    task = _task_of(declared)
    if task is None:
        raise ImproperlyConfigured(
            f"{setting} names {path!r}, which is no typed task: use TypedTask or @task(typed=True)."
        )
    return task


def _task_of(declared: Any) -> Task[..., Any] | None:
    """The task of a class, or itself; None if it is not typed."""
    if isinstance(declared, type) and issubclass(declared, TypedTask):
        return getattr(declared, "task", None)
    return declared if is_task(declared) and getattr(declared, "typed", None) else None
