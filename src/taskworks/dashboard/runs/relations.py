"""What a run belongs to: what enqueued it, what it enqueued, and others of its task."""

from typing import NamedTuple
from uuid import UUID

from django.db.models import ExpressionWrapper, F, Q, TextField

from taskworks.correlation import METADATA_KEY, correlation_of
from taskworks.jsonvalue import as_text
from taskworks.models import TaskRun
from taskworks.models.run import TaskRunQuerySet
from taskworks.reserved_metadata import OF_PARENT, parent_of
from taskworks.store import Store

SEARCHED = 20_000  # runs enqueued before one, and after it, for those that belong to it
MAX_SHOWN = 50  # of each kind
MAX_IN_STRIP = 60
COLUMNS = ("id", "task_path", "callable_path", "state", "enqueued_at", "finished_at")
OF_STRIP = (*COLUMNS, "last_attempted_at")


class Relatives(NamedTuple):
    """The run that enqueued one, those that it enqueued, and others of the same request."""

    parent: TaskRun | None
    parent_id: UUID | None  # also of one that has been deleted
    children: list[TaskRun]
    correlation_id: str | None
    of_request: list[TaskRun]


def relatives_of(store: Store, run: TaskRun) -> Relatives:
    """Return the relatives of a run; of children and of its request, those that are near it."""
    parent_id, correlation_id = parent_of(run.metadata), correlation_of(run.metadata)
    near = _near(store, run)
    return Relatives(
        parent=store.runs.only(*COLUMNS).filter(id=parent_id).first() if parent_id else None,
        parent_id=parent_id,
        children=[row for row in near if parent_of(row.metadata) == run.id][:MAX_SHOWN],
        correlation_id=correlation_id,
        of_request=[
            row for row in near if correlation_id and correlation_of(row.metadata) == correlation_id
        ][:MAX_SHOWN],
    )


def strip_of(store: Store, run: TaskRun) -> list[TaskRun]:
    """Return the latest runs of the same task, the earliest first, of the newest SEARCHED runs."""
    newest = store.runs.order_by("-id")
    oldest = _last(newest)
    same = newest.filter(id__gte=oldest) if oldest else newest
    same = same.filter(task_path=run.task_path)
    if run.callable_path:
        same = same.filter(callable_path=run.callable_path)
    return [*same.only(*OF_STRIP)[:MAX_IN_STRIP]][::-1]


def _near(store: Store, run: TaskRun) -> list[TaskRun]:
    """Return the runs that may be children of one, or of its request."""
    is_meant = _says(OF_PARENT, str(run.id)) if run.last_attempted_at else Q()
    value = run.metadata.get(METADATA_KEY)
    if isinstance(value, str) and value:
        is_meant |= _says(METADATA_KEY, value)
    if not is_meant:
        return []
    older = _last(store.runs.filter(id__lt=run.id).order_by("-id"))
    younger = _last(store.runs.filter(id__gt=run.id).order_by("id"))
    near = store.runs.exclude(id=run.id).order_by("id")
    near = near.filter(id__gte=older) if older else near
    near = near.filter(id__lte=younger) if younger else near
    text = ExpressionWrapper(F("metadata"), output_field=TextField())  # as it is stored
    found = near.alias(metadata_text=text).filter(is_meant)
    return [*found.only(*COLUMNS, "metadata")[: 4 * MAX_SHOWN]]


def _says(key: str, value: str) -> Q:
    """Return the condition that this may be in the metadata."""
    return Q(metadata_text__contains=f"{as_text(key)}:{as_text(value)}")


def _last(ordered: TaskRunQuerySet) -> UUID | None:
    """Return the id of the last one of SEARCHED runs, None if there are fewer."""
    found = ordered.values_list("id", flat=True)[SEARCHED - 1 : SEARCHED]
    return next(iter(found), None)
