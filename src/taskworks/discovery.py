"""Finding tasks: by their dotted paths, and in the ``tasks`` modules of the installed apps."""

import sys
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

# Why some could not be imported, by their names.
failed: dict[str, str] = {}


def task_modules() -> list[ModuleType]:
    """Import and return them; one that cannot be imported is left out, and noted in ``failed``."""
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
    The task at a dotted path.

    Raise TaskNotFound if this process cannot import it, InvalidTask if it is no task.
    """
    if found := _of_a_loaded_class(path):
        return found
    try:
        found = import_string(path)
    except (Exception, SystemExit) as error:  # a module may raise anything while it is imported
        found = _of_a_class(path)
        if found is None:
            raise TaskNotFound(path, error) from error
    if not is_task(found):
        raise InvalidTask(f"{path!r} is no task: it is a {type(found).__name__}.")
    return cast(framework.Task, found)


def _of_a_loaded_class(path: str) -> framework.Task | None:
    """As below, without the price of an import that fails."""
    where, _, name = path.rpartition(".")
    module, _, class_name = where.rpartition(".")
    loaded = sys.modules.get(module)
    owner = vars(loaded).get(class_name) if loaded else None
    if not isinstance(owner, type):
        return None
    attribute = getattr(owner, name, None)
    return cast(framework.Task, attribute) if is_task(attribute) else None


def _of_a_class(path: str) -> Any:
    """The task that the path names as an attribute of a module's class; None if there is none."""
    owner, _, name = path.rpartition(".")
    try:
        found = import_string(owner)
    except (Exception, SystemExit):  # noqa: BLE001 - as above
        return None
    attribute = getattr(found, name, None) if isinstance(found, type) else None
    return attribute if is_task(attribute) else None


def is_task(candidate: Any) -> bool:
    """Whether this is a task, of this or of another package with the standard's shape."""
    # Asked of the class alone: an object may claim to be anything, and to have any attribute.
    kind = type(candidate)
    return issubclass(kind, framework.Task) or (
        is_dataclass(kind)
        and all(hasattr(kind, name) for name in ("module_path", "call", "acall"))
        and {"func", "priority", "backend", "queue_name", "run_after", "takes_context"}
        <= {field.name for field in fields(kind)}
    )


def task_of(given: Any) -> Any:
    """The task of a class that has one, as typed ones do; anything else as it is."""
    own = vars(given).get("task") if isinstance(given, type) else None
    return own if is_task(own) else given
