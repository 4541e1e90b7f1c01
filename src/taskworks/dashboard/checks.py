"""System checks of the dashboard's settings."""

from typing import Any

from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from taskworks.conf import conf
from taskworks.dashboard.access import function_named
from taskworks.documentation import page


@checks.register
def check_dashboard(**kwargs: Any) -> list[checks.CheckMessage]:
    """Report functions in TASKWORKS that cannot be imported."""
    try:
        named = {"DASHBOARD_ACCESS": conf().dashboard_access}
        named["DASHBOARD_REDACT"] = conf().dashboard_redact
    except ImproperlyConfigured:  # taskworks.E004 says why
        return []
    return [*filter(None, map(_problem_with, named, named.values()))]


def _problem_with(setting: str, path: str) -> checks.CheckMessage | None:
    try:
        function_named(setting, path)
    except ImproperlyConfigured as error:
        hint = f"Give the dotted path of a function. {page('reference/dashboard')}"
        return checks.Error(str(error), hint=hint, id="taskworks.E070")
    return None
