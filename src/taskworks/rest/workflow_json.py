"""What the API answers about workflows, and what it is asked about them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from rest_framework import serializers

from taskworks.actions import workflows_shown
from taskworks.actions.workflows_shown import Counts, StepShown, WorkflowShown
from taskworks.models import Workflow
from taskworks.models.workflow import MAX_NAME
from taskworks.rest.list_query import ListQuery, NameFilter, TimeFilter
from taskworks.rest.serializers import (
    STATUS_OF,
    STATUSES,
    CountField,
    StatusField,
    StrictSerializer,
    time_as_json,
)
from taskworks.typed import registry
from taskworks.workflows.workflow_result import WorkflowStatus, status_of_row

WORKFLOW_STATUS_OF = {
    WorkflowStatus.RUNNING: "running",
    WorkflowStatus.STOPPING: "running",
    WorkflowStatus.SUCCESSFUL: "succeeded",
    WorkflowStatus.FAILED: "failed",
    WorkflowStatus.CANCELLED: "cancelled",
}
# Of a step: the state of a run, or the status of a workflow, which are text.
STATUS_OF_STATE: Mapping[str, str] = {
    **{state.value: status for state, status in STATUS_OF.items()},
    **{state.value: status for state, status in WORKFLOW_STATUS_OF.items()},
}
WORKFLOW_STATUSES = tuple(dict.fromkeys(WORKFLOW_STATUS_OF.values()))
CONDITIONS = ("name", "created_at__gte", "created_at__lt")  # of a list, which are lookups
KINDS = (workflows_shown.RUN, workflows_shown.GROUP, workflows_shown.WORKFLOW, workflows_shown.GONE)


class WorkflowStatusField(serializers.ChoiceField):
    """A workflow's status."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(WORKFLOW_STATUSES, **kwargs)


class KindField(serializers.ChoiceField):
    """What a step is."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(KINDS, **kwargs)


class WorkflowCountsSerializer(serializers.Serializer):
    """How many runs have each status."""

    pending = CountField()
    running = CountField()
    succeeded = CountField()
    failed = CountField()
    cancelled = CountField()


class WorkflowSerializer(serializers.Serializer):
    """A workflow. A list does not count the runs of those that have ended."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    status = WorkflowStatusField()
    progress = CountField(allow_null=True, help_text="How many of its runs have ended.")
    target = CountField(allow_null=True, help_text="How many runs it has.")
    percent = serializers.FloatField(min_value=0, max_value=100, allow_null=True)
    counts = WorkflowCountsSerializer(allow_null=True)
    cancel_requested = serializers.BooleanField()
    created = serializers.DateTimeField()
    finished = serializers.DateTimeField(allow_null=True)


class WorkflowPageSerializer(serializers.Serializer):
    """A page of a list of workflows, the newest first."""

    next = serializers.URLField(allow_null=True)
    results = WorkflowSerializer(many=True)


class WorkflowStepSerializer(serializers.Serializer):
    """A step of a workflow, or of one within it."""

    id = serializers.UUIDField(help_text="Of the run, or of the workflow.")
    name = serializers.CharField()
    kind = KindField()
    depth = CountField(help_text="0 for its own steps, 1 for those of workflows within it.")
    status = StatusField(allow_null=True)
    task = serializers.CharField(allow_null=True, help_text="The name of the task of a run.")
    progress = CountField(allow_null=True)
    target = CountField(allow_null=True)
    after = serializers.ListField(
        child=serializers.CharField(), help_text="The names of the steps that it follows."
    )
    waits_for = serializers.CharField(allow_null=True, help_text="In a sentence.")
    started = serializers.DateTimeField(allow_null=True)
    finished = serializers.DateTimeField(allow_null=True)


class WorkflowStepsSerializer(serializers.Serializer):
    """The first steps of a workflow; those within a step come after it."""

    has_more = serializers.BooleanField()
    results = WorkflowStepSerializer(many=True)


class WorkflowStatusFilter(WorkflowStatusField):
    """A status, read as lookups."""

    default_error_messages = {  # noqa: RUF012
        "invalid_choice": f"It must be one of: {', '.join(WORKFLOW_STATUSES)}."
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:  # type: ignore[override]
        status = super().to_internal_value(data)
        if status == WORKFLOW_STATUS_OF[WorkflowStatus.RUNNING]:
            return {"finished_at": None}
        return {"outcome": next(one for one, of in WORKFLOW_STATUS_OF.items() if of == status)}


class WorkflowListQuery(ListQuery):
    """The query of a list of workflows. ``status`` is lookups itself."""

    name = NameFilter(required=False, help_text="Workflows with this name.")
    status = WorkflowStatusFilter(required=False, help_text="Workflows with this status.")
    created_after = TimeFilter(
        source="created_at__gte", required=False, help_text="Enqueued then or later."
    )
    created_before = TimeFilter(
        source="created_at__lt", required=False, help_text="Enqueued before then."
    )

    @property
    def lookups(self) -> dict[str, Any]:
        """The conditions, once they are valid."""
        given = self.validated_data
        conditions = {name: given[name] for name in CONDITIONS if name in given}
        return {**conditions, **given.get("status", {})}


class JSONBooleanField(serializers.BooleanField):
    """True or false, and nothing that means one of them."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class RetryWorkflowSerializer(StrictSerializer):
    """The body of a retry, which may be left out. Other keys are errors."""

    from_step = serializers.CharField(
        required=False,
        allow_null=True,
        max_length=MAX_NAME,
        trim_whitespace=False,
        help_text="Only the runs of this step, and of the steps that follow it.",
    )
    again = JSONBooleanField(
        required=False, default=False, help_text="Also the runs that were successful."
    )


# As JSON.


def workflow_as_json(row: Workflow, counts: Counts | None) -> dict[str, Any]:
    """Return a workflow, whose keys are those of a run as far as it has them."""
    status = WORKFLOW_STATUS_OF[status_of_row(row)]
    progress = None if counts is None else workflows_shown.progress_of(counts)
    return {
        "id": str(row.id),
        "name": row.name,
        "status": status,
        "progress": progress and progress.ended,
        "target": progress and progress.total,
        "percent": progress and progress.percent,
        "counts": None if counts is None else _by_status(counts),
        "cancel_requested": row.stopping_at is not None,
        "created": time_as_json(row.created_at),
        "finished": time_as_json(row.finished_at),
    }


def steps_as_json(shown: WorkflowShown) -> dict[str, Any]:
    """Return the steps of a workflow."""
    return {"has_more": shown.has_more, "results": [*map(_step_as_json, shown.steps)]}


def _step_as_json(step: StepShown) -> dict[str, Any]:
    path = step.task_path
    return {
        "id": str(step.id),
        "name": step.name,
        "kind": step.kind,
        "depth": step.depth,
        "status": _status_of_step(step),
        "task": path and (registry.named(path) or path),
        "progress": step.progress and step.progress.ended,
        "target": step.progress and step.progress.total,
        "after": [*step.names_before],
        "waits_for": step.waits_for,
        "started": time_as_json(step.started_at),
        "finished": time_as_json(step.finished_at),
    }


def _status_of_step(step: StepShown) -> str | None:
    return None if step.state is None else STATUS_OF_STATE[step.state]


def _by_status(counts: Counts) -> dict[str, int]:
    by_status = dict.fromkeys(STATUSES, 0)
    for state, number in counts.items():
        by_status[STATUS_OF_STATE[state]] += number
    return by_status


def page_as_json(
    rows: list[Workflow], counts: Mapping[UUID, Counts], next_page: str | None
) -> dict[str, Any]:
    """Return a page of a list of workflows."""
    results = [workflow_as_json(row, counts.get(row.id)) for row in rows]
    return {"next": next_page, "results": results}
