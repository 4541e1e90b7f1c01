"""System checks of limits: what settings and tasks say, and what runs in the tables wait for."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from taskworks import discovery
from taskworks.backends.shards import in_which, with_table
from taskworks.conf import conf
from taskworks.documentation import page
from taskworks.models import Limit
from taskworks.options.declared_limits import undeclared_limits
from taskworks.store import store

HINT = f"What a limit may be: {page('reference/tasks', 'limits')}"


@checks.register
def check_limits(**kwargs: Any) -> list[checks.CheckMessage]:
    """Report bad limits in TASKWORKS, and limits that tasks name and nobody declares."""
    if not apps.is_installed("taskworks") or not _can_read_settings():
        return []
    discovery.task_modules()
    return [*_check()]


@checks.register(checks.Tags.database)
def check_rows(databases: Sequence[str] | None = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report limits of ready runs that nobody declares; runs with ``check --database``."""
    return [
        checks.Warning(
            f"Runs wait{in_which(alias)} that have the limit {name!r}, which nobody declares: "
            "nothing limits them.",
            hint="If the limit was renamed, declare the old one too until these runs have ended.",
            id="taskworks.W060",
        )
        for alias in with_table(Limit, databases)
        for name in store(alias).undeclared_limits()
    ]


def _can_read_settings() -> bool:
    """Return whether TASKWORKS can be read; if not, ``taskworks.E004`` says why."""
    try:
        return bool(conf())
    except ImproperlyConfigured:
        return False


def _check() -> Iterator[checks.CheckMessage]:
    try:
        undeclared = undeclared_limits()
    except ImproperlyConfigured as error:
        yield checks.Error(str(error), hint=HINT, id="taskworks.E060")
        return
    for name, path in undeclared:
        yield checks.Error(
            f"The task {path} has the limit {name!r}, which nobody declares.",
            hint=f"Declare it in TASKWORKS['LIMITS'], or with a Limit at a task. {HINT}",
            id="taskworks.E061",
        )
