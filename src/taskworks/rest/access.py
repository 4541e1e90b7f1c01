"""Who may do what: the classes in the settings, and what a user may see and change."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from django.db import Error as DatabaseError
from django.utils.module_loading import import_string
from rest_framework.exceptions import APIException, NotFound, PermissionDenied
from rest_framework.permissions import IsAuthenticated
from rest_framework.settings import api_settings

from taskworks.backends.shards import databases, first_in_each
from taskworks.compat import task_api
from taskworks.conf import conf
from taskworks.database.answers import Fault, fault_of
from taskworks.database.shards import using
from taskworks.exceptions import InvalidTask
from taskworks.filtering import RunFilter
from taskworks.filtering.matching_runs import NewestRuns, newest_of
from taskworks.models import TaskRun, Workflow
from taskworks.options.owner import ANYBODY, owner_of
from taskworks.rest.serializers import RUN_COLUMNS
from taskworks.store import store, store_of
from taskworks.store.statements import chunks
from taskworks.typed import registry

T = TypeVar("T")

VIEW, CHANGE = "taskworks.view_taskrun", "taskworks.change_taskrun"
VIEW_WORKFLOW, CHANGE_WORKFLOW = "taskworks.view_workflow", "taskworks.change_workflow"


def authentication_classes() -> Sequence[Any]:
    """Return the classes in the settings, else the project's own."""
    named = conf().api_authentication_classes or task_api.authentication_classes()
    return _imported(named) or api_settings.DEFAULT_AUTHENTICATION_CLASSES


def permission_classes() -> Sequence[Any]:
    """
    Return the classes in the settings, else the project's own, else IsAuthenticated. An empty list
    counts as not set: it does not open the API.
    """
    if named := conf().api_permission_classes or task_api.permission_classes():
        return _imported(named)
    if api_settings.user_settings.get("DEFAULT_PERMISSION_CLASSES"):
        return api_settings.DEFAULT_PERMISSION_CLASSES
    return [IsAuthenticated]


def classes_of(task: Any) -> Iterable[Any]:
    """Return a task's permission classes, which apply in addition to those of the API."""
    return _imported(task.typed.permission_classes or ())


def _imported(named: Iterable[Any]) -> list[Any]:
    """Return classes that are given as such or by path; raise ImportError for a wrong path."""
    return [import_string(one) if isinstance(one, str) else one for one in named]


def task_paths_of(row: Workflow) -> set[str]:
    """Return the paths of the tasks of a workflow's runs."""
    current = store_of(row)
    ids = [row.id, *(child.id for child in current.within(row.id))]
    return {
        path
        for some in chunks(ids)
        for path in current.runs.filter(workflow__in=some)
        .order_by()
        .values_list("task_path", flat=True)
        .distinct()
    }


def _is_offered(row: Workflow) -> bool:
    return all(registry.named(path) for path in task_paths_of(row))


class Unavailable(APIException):
    status_code = 503
    default_detail = "Its database does not answer: ask again later."
    default_code = "unavailable"


def _found(pk: str, read: Callable[[UUID], T | None]) -> T | None:
    """
    Return the row with this id, from any database. Raise NotFound for what is not an id, and
    Unavailable if one of several databases does not answer, which may have it. What one has
    answered with is an error like all others.
    """
    try:
        id_ = UUID(pk)
    except ValueError:
        raise NotFound from None
    if len(databases()) == 1:
        with using(databases()[0]):
            return read(id_)
    try:
        return first_in_each(lambda: read(id_))
    except DatabaseError as error:
        if fault_of(error) is Fault.FAILED:
            raise
        raise Unavailable from None


class Viewer:
    """A user, and the runs and workflows that this user may see and change."""

    def __init__(self, user: Any) -> None:
        self._user = user
        try:
            self.owner = ANYBODY if user is None else owner_of(user)
        except InvalidTask:
            raise PermissionDenied("A user without a primary key cannot own runs.") from None

    def newest_runs(
        self, alias: str, meant: RunFilter, *, mine: bool, after: UUID | None, limit: int
    ) -> NewestRuns:
        """
        Return the newest runs of a database that are meant and that the user may list: all for
        staff, unless ``mine``.
        """
        if mine or not self._is_staff_who_may(VIEW):
            if self.owner == ANYBODY:
                return NewestRuns([], None)
            meant = meant.but(owner=self.owner)
        return newest_of(store(alias), meant, after=after, limit=limit, columns=RUN_COLUMNS)

    def sees_details(self) -> bool:
        """Return whether the user may read the messages of exceptions."""
        return self._is_staff_who_may(VIEW)

    def run(self, pk: str, *, to_change: bool = False) -> TaskRun:
        """
        Return the run with this id. Raise NotFound if there is none that the user may see, and
        PermissionDenied if the user may see but not change it.
        """
        run = _found(pk, lambda id_: store().runs.only(*RUN_COLUMNS).filter(id=id_).first())
        if run is None or not self._may(run, CHANGE if to_change else VIEW):
            raise NotFound
        # Such as a run of an endpoint, which its owner has not chosen to start.
        if to_change and not registry.named(run.task_path) and not self._is_staff_who_may(CHANGE):
            raise PermissionDenied("Runs of a task that is not offered are not yours to change.")
        return run

    def run_to_send_to(self, pk: str) -> TaskRun:
        """
        Return the run with this id; raise as run(). Its owner may not send events to it: one may
        be the approval of somebody else.
        """
        run = self.run(pk)
        if not self._is_staff_who_may(CHANGE):
            raise PermissionDenied("Only staff who may change runs may send events to them.")
        return run

    def newest_workflows(
        self, alias: str, lookups: Mapping[str, Any], *, mine: bool, after: UUID | None, limit: int
    ) -> tuple[list[Workflow], None]:
        """
        Return the newest workflows of a database in no other one that meet the lookups and that the
        user may list: all for staff, unless ``mine``. None says that it has looked at all.
        """
        rows = store(alias).workflows.filter(parent=None, **lookups)
        if mine or not self._is_staff_who_may(VIEW_WORKFLOW):
            rows = rows.filter(owner=self.owner) if self.owner != ANYBODY else rows.none()
        if after is not None:
            rows = rows.filter(id__lt=after)
        return [*rows.order_by("-id")[:limit]], None

    def workflow(self, pk: str, *, to_change: bool = False) -> Workflow:
        """
        Return the workflow with this id. Raise NotFound if there is none that the user may see,
        PermissionDenied if the user may see but not change it: it has runs of a task that is not
        offered.
        """
        row = _found(pk, lambda id_: store().workflows.filter(id=id_).first())
        if row is None or not self._may(row, CHANGE_WORKFLOW if to_change else VIEW_WORKFLOW):
            raise NotFound
        if to_change and not self._is_staff_who_may(CHANGE_WORKFLOW) and not _is_offered(row):
            raise PermissionDenied(
                "A workflow with runs of a task that is not offered is not yours to change."
            )
        return row

    def _may(self, row: TaskRun | Workflow, permission: str) -> bool:
        return row.owner in (self.owner, ANYBODY) or self._is_staff_who_may(permission)

    def _is_staff_who_may(self, permission: str) -> bool:
        return getattr(self._user, "is_staff", False) and self._user.has_perm(permission)
