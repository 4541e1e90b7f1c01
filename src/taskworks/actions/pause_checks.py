"""System check of pauses: that there is what they hold up."""

from collections.abc import Sequence
from typing import Any

from django.core import checks

from taskworks.actions.scopes import why_not_here
from taskworks.backends.shards import in_which, with_table
from taskworks.models import Pause
from taskworks.store import store


@checks.register(checks.Tags.database)
def check_rows(databases: Sequence[str] | None = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report pauses of what this code does not have; runs with ``check --database``."""
    reasons = [
        (pause, why_not_here(pause.scope), in_which(alias))
        for alias in with_table(Pause, databases)
        for pause in store(alias).pauses.in_force().order_by("kind", "backend", "name", "key")
    ]
    return [
        checks.Warning(
            f"The {pause.scope} is paused{where}, but this code does not have it, so the pause may "
            f"hold up nothing: {reason}",
            hint="If it was renamed or deleted, resume it, and pause what has its place.",
            id="taskworks.W070",
        )
        for pause, reason, where in reasons
        if reason
    ]
