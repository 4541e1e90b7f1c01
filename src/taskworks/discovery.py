"""Find tasks by their dotted paths, and in the ``tasks`` modules of the installed apps."""

import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, cast

from django.apps import apps
from django.utils.module_loading import import_string, module_has_submodule

from taskworks import framework
from taskworks.exceptions import InvalidTask, TaskNotFound
from taskworks.logs import steady_logger

logger = steady_logger(__name__)

# The modules that could not be imported: their names, and the errors.
failed: dict[str, str] = {}

# Each finds tasks that are not attributes of modules: it returns the task at a path, or None.
Finder = Callable[[str], framework.Task | None]
_finders: list[Finder] = []


def add_finder(finder: Finder) -> None:
    """Have ``resolve`` ask this one for tasks that it does not find in a loaded module."""
    _finders.append(finder)


def remove_finder(finder: Finder) -> None:
    """Undo ``add_finder``."""
    if finder in _finders:
        _finders.remove(finder)


def found_elsewhere(path: str) -> framework.Task | None:
    """Return the task that a finder knows at a path, or None."""
    return next((task for finder in _finders if (task := finder(path))), None)


def task_modules() -> list[ModuleType]:
    """
    Import and return the ``tasks`` modules of all apps.

    A module that cannot be imported is logged, noted in ``failed`` and left out.
    """
    names = [
        f"{config.name}.tasks"
        for config in apps.get_app_configs()
        if config.module and module_has_submodule(config.module, "tasks")
    ]
    return [module for name in names if (module := _imported(name))]


def _imported(name: str) -> ModuleType | None:
    try:
        module = import_module(name)
    except Exception as error:  # noqa: BLE001 - a module may raise anything while it is imported
        reason = f"{type(error).__name__}: {error}"
        if failed.get(name) != reason:
            logger.warning("The module %s cannot be imported: %s", name, reason)
        failed[name] = reason
        return None
    failed.pop(name, None)
    return module


def resolve(path: str) -> framework.Task:
    """
    Return the task at a dotted path.

    Raise TaskNotFound if this process cannot import it, InvalidTask if it is not a task.
    """
    loaded = attribute_of_loaded_module(path)
    if is_task(loaded):
        return cast(framework.Task, loaded)
    if found := _attribute_of_loaded_class(path):
        return found
    if found := found_elsewhere(path):
        return found
    try:
        found = import_string(path)
    except (Exception, SystemExit) as error:  # a module may raise anything while it is imported
        found = _attribute_of_class(path)
        if found is None:
            raise TaskNotFound(path, error) from error
    if not is_task(found):
        own = f" Its task is '{path}.task'." if is_task(task_of(found)) else ""
        raise InvalidTask(f"{path!r} is not a task: it is of type {type(found).__name__}.{own}")
    return cast(framework.Task, found)


def attribute_of_loaded_module(path: str) -> Any:
    """Return what import_string() finds, in a third of the time; None if it has to import."""
    where, _, name = path.rpartition(".")
    module = sys.modules.get(where)
    return vars(module).get(name) if module else None


def _attribute_of_loaded_class(path: str) -> framework.Task | None:
    """As _attribute_of_class(), without the cost of a failing import."""
    where, _, name = path.rpartition(".")
    module, _, class_name = where.rpartition(".")
    loaded = sys.modules.get(module)
    owner = vars(loaded).get(class_name) if loaded else None
    if not isinstance(owner, type):
        return None
    attribute = getattr(owner, name, None)
    return cast(framework.Task, attribute) if is_task(attribute) else None


def _attribute_of_class(path: str) -> Any:
    """Return the task that is an attribute of a class, such as shop.tasks.Sum.task; or None."""
    owner, _, name = path.rpartition(".")
    try:
        found = import_string(owner)
    except (Exception, SystemExit):  # noqa: BLE001 - as above
        return None
    attribute = getattr(found, name, None) if isinstance(found, type) else None
    return attribute if is_task(attribute) else None


def is_task(candidate: Any) -> bool:
    """Return whether this is a task, of this package or another that follows the standard."""
    # Only the class is checked: an object such as a mock may pretend to be anything.
    kind = type(candidate)
    return issubclass(kind, framework.Task) or (
        is_dataclass(kind)
        and all(hasattr(kind, name) for name in ("module_path", "call", "acall"))
        and {"func", "priority", "backend", "queue_name", "run_after", "takes_context"}
        <= {field.name for field in fields(kind)}
    )


def task_of(given: Any) -> Any:
    """Return the task of a class that has one, such as a TypedTask; anything else unchanged."""
    own = vars(given).get("task") if isinstance(given, type) else None
    return own if is_task(own) else given
