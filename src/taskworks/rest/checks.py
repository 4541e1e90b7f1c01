"""System checks of the REST API, if the project's URLs include it."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from rest_framework.settings import api_settings

from taskworks import addresses
from taskworks.compat import task_api
from taskworks.documentation import page
from taskworks.feature_checks import feature_check
from taskworks.rest import access
from taskworks.typed import registry

HINT = f"Who may do what, and how to set it: {page('reference/rest', 'permissions')}"


@feature_check
def check_rest(**kwargs: Any) -> list[checks.CheckMessage]:
    """Check the classes in the settings, and the permissions and throttle of each offered task."""
    if not _is_included():
        return []
    return [*_check_classes(), *_check_lists(), *_check_tasks()]


def _is_included() -> bool:
    try:
        return bool(addresses.inclusions())
    except ImproperlyConfigured:
        return False


def _check_classes() -> Iterator[checks.CheckMessage]:
    for classes in (access.authentication_classes, access.permission_classes):
        try:
            classes()
        except ImproperlyConfigured:  # taskworks.E004
            return
        except ImportError as error:
            yield checks.Error(
                f"The REST API names a class that cannot be imported. {error}",
                hint=HINT,
                id="taskworks.E040",
            )


def _check_lists() -> Iterator[checks.CheckMessage]:
    taskworks = getattr(settings, "TASKWORKS", None)
    ours, theirs = "API_PERMISSION_CLASSES", task_api.PERMISSIONS_CLASSES
    given = {
        ours: taskworks.get(ours) if isinstance(taskworks, dict) else None,
        theirs: getattr(settings, theirs, None),
    }
    for name, classes in given.items():
        if classes is not None and not classes:
            yield checks.Warning(
                f"{name} is empty, which opens nothing: who is signed in may use the REST API.",
                hint="Use rest_framework.permissions.AllowAny if everybody may use it.",
                id="taskworks.W040",
            )


def _check_tasks() -> Iterator[checks.CheckMessage]:
    try:
        offered = registry.offered()
    except ImproperlyConfigured:  # another check reports it
        return
    for name, task in offered.items():
        yield from _check_task(name, task)


def _check_task(name: str, task: Any) -> Iterator[checks.CheckMessage]:
    try:
        list(access.classes_of(task))
    except ImportError as error:
        yield checks.Error(
            f"The task {name!r} has permission_classes that cannot be imported. {error}",
            hint=HINT,
            id="taskworks.E041",
        )
    scope = task.typed.throttle_scope
    if scope is not None and scope not in api_settings.DEFAULT_THROTTLE_RATES:
        yield checks.Error(
            f"The task {name!r} has the throttle scope {scope!r}, for which there is no rate.",
            hint="Add it to REST_FRAMEWORK['DEFAULT_THROTTLE_RATES'].",
            id="taskworks.E042",
        )
