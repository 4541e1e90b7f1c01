from django.apps import AppConfig
from django.db.models.signals import post_migrate


class TaskworksConfig(AppConfig):
    """The app: its tables and commands, and its system checks."""

    name = "taskworks"
    verbose_name = "Taskworks"

    def ready(self) -> None:
        from taskworks import framework, parts  # noqa: F401 - importing them registers their checks

        if _offers_tasks():
            import taskworks.typed  # noqa: F401 - likewise
        from taskworks.schedules import (
            checks,  # noqa: F401 - the same
            firing,  # noqa: F401 - and this, who fires one that is wanted at once
            sync,
        )
        from taskworks.store import schedules  # noqa: F401 - and this, who tells of one that is saved

        post_migrate.connect(sync.synchronise_after_migrate, sender=self)


def _offers_tasks() -> bool:
    """Whether the settings name typed tasks; modules that decorate some import the check."""
    from django.conf import settings

    ours = getattr(settings, "TASKWORKS", {})
    named = isinstance(ours, dict) and ours.get("API_TASKS")
    return bool(named or getattr(settings, "TASK_API_BACKGROUND_TASKS", ()))
