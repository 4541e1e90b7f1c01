"""
Checks of what a project's own modules import: endpoints, typed tasks, the REST API.

Django lists all checks before it asks the first, and one that is registered meanwhile is not asked.
So one of ours, which is always there, imports these modules, and asks what that has brought.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.core import checks
from django.urls import get_resolver

from taskworks import discovery

Check = Callable[..., list[checks.CheckMessage]]

_checks: list[Check] = []


def check_of_a_part(check: Check) -> Check:
    """Have it asked once the project's modules are imported; returned as it is."""
    _checks.append(check)
    return check


@checks.register
def check_parts(**kwargs: Any) -> list[checks.CheckMessage]:
    """All that is wrong with the parts that the project uses."""
    discovery.task_modules()
    with suppress(Exception):  # of which Django's own check tells
        get_resolver().url_patterns  # noqa: B018 - it is imported by being asked for
    return [message for check in _checks for message in check(**kwargs)]
