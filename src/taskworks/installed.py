"""Whether the app is installed: without it there are no tables, commands and checks."""

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured


def refuse_without_app() -> None:
    """Raise ImproperlyConfigured unless the app is in INSTALLED_APPS, once that has been read."""
    if apps.apps_ready and not apps.is_installed("taskworks"):
        raise ImproperlyConfigured(
            "Taskworks stores runs in tables of the app 'taskworks', which is not in "
            "INSTALLED_APPS. Add 'taskworks' to INSTALLED_APPS, and run 'manage.py migrate'."
        )
