"""django-task-api's settings, which are read beside ``TASKWORKS``."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings

from taskworks.conf import validate_paths

BACKGROUND_TASKS = "TASK_API_BACKGROUND_TASKS"
AUTHENTICATION_CLASSES = "TASK_API_AUTHENTICATION_CLASSES"
PERMISSIONS_CLASSES = "TASK_API_PERMISSIONS_CLASSES"


def background_tasks() -> Sequence[str]:
    """Return the paths of the tasks to offer; raise ImproperlyConfigured if it is not a list."""
    paths: Sequence[str] = getattr(settings, BACKGROUND_TASKS, ())
    validate_paths(BACKGROUND_TASKS, paths)
    return paths


def offers_tasks() -> bool:
    """Return whether the setting names tasks, valid or not."""
    return bool(getattr(settings, BACKGROUND_TASKS, ()))


def authentication_classes() -> Sequence[Any]:
    """Return the REST API's authentication classes, empty if the setting does not name any."""
    return getattr(settings, AUTHENTICATION_CLASSES, None) or ()


def permission_classes() -> Sequence[Any]:
    """Return the REST API's permission classes, empty if the setting does not name any."""
    return getattr(settings, PERMISSIONS_CLASSES, None) or ()
