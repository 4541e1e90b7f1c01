"""A system check: beat and the workers both fire what was imported."""

from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.core import checks
from django.db import DEFAULT_DB_ALIAS


@checks.register(checks.Tags.database)
def check_both(databases: Sequence[str] | None = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report schedules that beat fires as well; runs with ``check --database``."""
    if DEFAULT_DB_ALIAS not in (databases or ()) or not apps.is_installed("taskworks"):
        return []
    from taskworks.moving.beat import importing

    return [
        checks.Warning(
            f"The schedule {label!r} is enabled here and in the tables of django-celery-beat, so "
            f"it fires twice if beat runs.{_sign_of_life(fired)}",
            hint="Run manage.py taskworks import-schedules --disable-old, and stop beat.",
            id="taskworks.W055",
        )
        for label, fired in importing.in_both(DEFAULT_DB_ALIAS)
    ]


def _sign_of_life(fired: Any) -> str:
    return f" Beat is running: it fired it at {fired}, after the import." if fired else ""
