from django.apps import AppConfig


class TaskworksConfig(AppConfig):
    """The app: its tables and commands, and the standard's system check."""

    name = "taskworks"
    verbose_name = "Taskworks"

    def ready(self) -> None:
        from taskworks import framework  # noqa: F401 - importing it registers its check
