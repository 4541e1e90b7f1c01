"""Who may do what on the dashboard: staff with a permission, or whom a function lets do it."""

from collections.abc import Callable
from enum import StrEnum
from functools import cached_property
from typing import Any

from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import HttpRequest
from django.utils.module_loading import import_string

from taskworks.conf import conf

Rule = Callable[[HttpRequest, str, Any], Any]


class Action(StrEnum):
    """What a person may do; the function in ``DASHBOARD_ACCESS`` is asked by these names."""

    SEE = "see"
    SEE_ARGUMENTS = "see_arguments"
    RETRY = "retry"
    CANCEL = "cancel"
    DELETE = "delete"
    MOVE = "move"
    RUN = "run"
    PAUSE = "pause"
    RESUME = "resume"
    STOP_WORKER = "stop_worker"
    ANNOTATE = "annotate"
    CHANGE_SCHEDULE = "change_schedule"
    CHANGE_LIMIT = "change_limit"


PERMISSIONS = {
    Action.SEE: "taskworks.view_taskrun",
    Action.SEE_ARGUMENTS: "taskworks.view_arguments",
    Action.RETRY: "taskworks.retry_taskrun",
    Action.CANCEL: "taskworks.cancel_taskrun",
    Action.DELETE: "taskworks.delete_taskrun",
    Action.MOVE: "taskworks.move_taskrun",
    Action.RUN: "taskworks.run_task",
    Action.PAUSE: "taskworks.add_pause",
    Action.RESUME: "taskworks.delete_pause",
    Action.STOP_WORKER: "taskworks.stop_worker",
    Action.ANNOTATE: "taskworks.change_failuregroup",
    Action.CHANGE_SCHEDULE: "taskworks.change_schedule",
    Action.CHANGE_LIMIT: "taskworks.change_limit",
}


class Access:
    """What the user of a request may do."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    def may(self, action: Action, row: Any = None) -> bool:
        """
        Return whether the user may do this to the row, or at all if no row is given. Nobody may do
        anything without seeing the dashboard.
        """
        if action != Action.SEE and not self._allows(Action.SEE, None):
            return False
        return self._allows(action, row)

    def demand(self, action: Action, row: Any = None) -> None:
        """Raise PermissionDenied if the user may not."""
        if not self.may(action, row):
            raise PermissionDenied(f"You may not {action.replace('_', ' ')}.")

    @property
    def is_by_row(self) -> bool:
        """Whether a function of the project decides, maybe differently for each row."""
        return self._rule is not None

    @property
    def is_known(self) -> bool:
        """Whether somebody is signed in."""
        user = getattr(self._request, "user", None)
        return bool(user is not None and user.is_authenticated)

    def _allows(self, action: Action, row: Any) -> bool:
        if self._rule:
            return bool(self._rule(self._request, action.value, row))
        return self._is_staff and self._request.user.has_perm(PERMISSIONS[action])

    @property
    def _is_staff(self) -> bool:
        user = getattr(self._request, "user", None)
        return bool(user is not None and user.is_active and getattr(user, "is_staff", False))

    @cached_property
    def _rule(self) -> Rule | None:
        return rule_named(conf().dashboard_access)


def rule_named(path: str) -> Rule | None:
    """Return the function with this path; raise ImproperlyConfigured if it is not one."""
    return function_named("DASHBOARD_ACCESS", path)


def function_named(setting: str, path: str) -> Callable[..., Any] | None:
    """Return the function that a setting names, None for none; raise ImproperlyConfigured."""
    if not path:
        return None
    try:
        found = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(f"TASKWORKS[{setting!r}] names {path!r}: {error}") from error
    if not callable(found):
        raise ImproperlyConfigured(
            f"TASKWORKS[{setting!r}] names {path!r}, which is not a function."
        )
    return found  # type: ignore[no-any-return]
