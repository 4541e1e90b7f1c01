"""Many workflows as a worker leaves them that dies before it looks whether they have ended."""

from copy import copy
from typing import Any
from uuid import UUID

from django.db.models import Model

from taskworks import Workflow
from taskworks.database.clock import DatabaseClock
from taskworks.models import Edge, RunState, Step, TaskRun
from taskworks.models import Workflow as Row
from taskworks.models.run import new_run_id
from tests.workflows.tasks import step

TABLES = (Row, Step, TaskRun, Edge)


def with_a_callback() -> Workflow:
    """A group of which all have succeeded, and a run that waits for it."""
    flow = Workflow("with a callback")
    flow.each("jobs", step, [["job"]])
    flow.add("then", step, "then", after="jobs")
    return flow


def without() -> Workflow:
    flow = Workflow("without")
    flow.add("job", step, "job")
    return flow


def missed(flow: Workflow, number: int) -> None:
    """Store so many of this one, whose ready runs have succeeded."""
    flow.enqueue()
    ready = TaskRun.objects.filter(state=RunState.READY)
    ready.update(state=RunState.SUCCESSFUL, finished_at=DatabaseClock())
    originals = {model: [*model._default_manager.all()] for model in TABLES}
    copies: dict[type[Model], list[Model]] = {model: [] for model in TABLES}
    for _ in range(number - 1):
        new = {row.id: new_run_id() for model in (Row, TaskRun) for row in originals[model]}
        for model, rows in originals.items():
            copies[model] += [_copy(row, new) for row in rows]
    for model, rows in copies.items():
        model._default_manager.bulk_create(rows, batch_size=500)


def _copy(row: Any, new: dict[UUID, UUID]) -> Any:
    copied = copy(row)
    copied._state = copy(row._state)
    if isinstance(row, Edge):
        copied.id = None
    for field in row._meta.concrete_fields:
        value = getattr(row, field.attname)
        if isinstance(value, UUID):
            setattr(copied, field.attname, new.get(value, value))
    return copied
