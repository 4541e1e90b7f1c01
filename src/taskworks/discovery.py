"""The modules in which tasks are: ``tasks`` of each installed app, and what those import."""

from importlib import import_module
from types import ModuleType

from django.apps import apps
from django.utils.module_loading import module_has_submodule

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
