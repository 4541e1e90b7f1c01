from contextlib import suppress

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class TaskworksConfig(AppConfig):
    """The app: its tables, commands and system checks."""

    name = "taskworks"
    verbose_name = "Taskworks"

    def ready(self) -> None:
        # These imports register checks and signal receivers.
        from taskworks import checks as checks_of_settings
        from taskworks import feature_checks  # noqa: F401
        from taskworks.actions import limit_checks, limits, pause_checks  # noqa: F401
        from taskworks.celery_worker import join_celery_workers
        from taskworks.compat.sisy import receivers as receivers_for_sisy  # noqa: F401
        from taskworks.dashboard import checks as checks_of_dashboard  # noqa: F401
        from taskworks.health import checks as checks_of_problems  # noqa: F401
        from taskworks.moving.beat import checks as checks_of_beat  # noqa: F401
        from taskworks.schedules import checks, receivers, sync  # noqa: F401

        if _offers_tasks():
            import taskworks.typed  # noqa: F401

        checks_of_settings.register()
        _make_backends()
        join_celery_workers()
        post_migrate.connect(sync.synchronize_after_migrate, sender=self)
        post_migrate.connect(limits.synchronize_after_migrate, sender=self)


def _make_backends() -> None:
    """Make what TASKS names, because one of Celery's tells workers of what others make ready."""
    from taskworks.exceptions import InvalidTaskBackend
    from taskworks.options.tasks_setting import aliases, backend_of

    with suppress(InvalidTaskBackend):  # which a check reports
        for alias in aliases():
            with suppress(InvalidTaskBackend):
                backend_of(alias)


def _offers_tasks() -> bool:
    """Return whether settings name typed tasks; modules that define some import the check."""
    from django.conf import settings

    from taskworks.compat import task_api

    ours = getattr(settings, "TASKWORKS", {})
    named = isinstance(ours, dict) and ours.get("API_TASKS")
    return bool(named) or task_api.offers_tasks()
