"""Who may do what: the classes that the settings name, and whose runs a user sees."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.utils.module_loading import import_string
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.permissions import IsAuthenticated
from rest_framework.settings import api_settings

from taskworks.compat import task_api
from taskworks.conf import conf
from taskworks.exceptions import InvalidTask
from taskworks.models import TaskRun
from taskworks.models.run import TaskRunQuerySet
from taskworks.options.owner import ANYBODY, owner_of
from taskworks.rest.serializers import RUN_COLUMNS
from taskworks.store import store
from taskworks.typed import registry

VIEW, CHANGE = "taskworks.view_taskrun", "taskworks.change_taskrun"


def authentication_classes() -> Sequence[Any]:
    """How users are told: as the settings say, else as the project does it."""
    named = conf().api_authentication_classes or task_api.authentication_classes()
    return _imported(named) or api_settings.DEFAULT_AUTHENTICATION_CLASSES


def permission_classes() -> Sequence[Any]:
    """
    Who may come in at all: as the settings say, else as the project has said for all its views,
    else who is signed in. An empty list says nothing, and opens nothing.
    """
    if named := conf().api_permission_classes or task_api.permission_classes():
        return _imported(named)
    if api_settings.user_settings.get("DEFAULT_PERMISSION_CLASSES"):
        return api_settings.DEFAULT_PERMISSION_CLASSES
    return [IsAuthenticated]


def classes_of(task: Any) -> Iterable[Any]:
    """The permission classes that a task has beside the API's own."""
    return _imported(task.typed.permission_classes or ())


def _imported(named: Iterable[Any]) -> list[Any]:
    """Classes, each itself or its path; raise ImportError for one that is not there."""
    return [import_string(one) if isinstance(one, str) else one for one in named]


class Viewer:
    """A user, and what of the record is theirs."""

    def __init__(self, user: Any) -> None:
        self._user = user
        try:
            self.owner = ANYBODY if user is None else owner_of(user)
        except InvalidTask:
            raise PermissionDenied("A user without a primary key can own no runs.") from None

    def runs(self, *, mine: bool = False) -> TaskRunQuerySet:
        """Those that they may list."""
        runs = store().runs.only(*RUN_COLUMNS)
        if not mine and self._is_staff_who_may(VIEW):
            return runs
        return runs.filter(owner=self.owner) if self.owner != ANYBODY else runs.none()

    def run(self, pk: str, *, to_change: bool = False) -> TaskRun:
        """
        The run with this id; raise NotFound if there is none that they may see. To change one
        whose task is not offered, such as an endpoint's, takes the permission: its owner has not
        chosen to start it.
        """
        try:
            run = store().runs.only(*RUN_COLUMNS).filter(id=UUID(pk)).first()
        except ValueError:
            raise NotFound from None
        if run is None or not self._may(run, CHANGE if to_change else VIEW):
            raise NotFound
        if to_change and not registry.named(run.task_path) and not self._is_staff_who_may(CHANGE):
            raise PermissionDenied("Runs of a task that is not offered are not yours to change.")
        return run

    def _may(self, run: TaskRun, permission: str) -> bool:
        return run.owner in (self.owner, ANYBODY) or self._is_staff_who_may(permission)

    def _is_staff_who_may(self, permission: str) -> bool:
        return getattr(self._user, "is_staff", False) and self._user.has_perm(permission)
