"""
Checks of features that only a project's own modules import: endpoints, typed tasks, the REST API.

Django lists all checks before it runs the first, so it does not run one that is registered while
checks run. Therefore a check that is always registered imports these modules, and then runs the
checks that this has registered here.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.core import checks
from django.urls import get_resolver

from taskworks import discovery

Check = Callable[..., list[checks.CheckMessage]]

_checks: list[Check] = []


def feature_check(check: Check) -> Check:
    """Register a check to be run once the project's modules are imported; a decorator."""
    _checks.append(check)
    return check


@checks.register
def check_features(**kwargs: Any) -> list[checks.CheckMessage]:
    """Run the checks of the features that the project uses."""
    discovery.task_modules()
    with suppress(Exception):  # Django has a check of its own for that
        get_resolver().url_patterns  # noqa: B018 - reading it imports the URLs
    return [message for check in _checks for message in check(**kwargs)]
