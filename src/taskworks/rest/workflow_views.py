"""The views of workflows: one class for each address."""

from functools import partial
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from taskworks.actions import workflow_actions, workflows_shown
from taskworks.actions.run_actions import Verdict
from taskworks.models import Workflow
from taskworks.rest import access
from taskworks.rest.events.hub import hub
from taskworks.rest.events.places import holder_of
from taskworks.rest.events.stream import WorkflowEventStream, is_the_end
from taskworks.rest.list_query import ListPage
from taskworks.rest.views import (
    STREAM_RETRY_AFTER,
    Conflict,
    NotStreamed,
    TaskView,
    refuse_to_stream_from_another_database,
)
from taskworks.rest.workflow_json import (
    RetryWorkflowSerializer,
    WorkflowListQuery,
    page_as_json,
    steps_as_json,
    workflow_as_json,
)
from taskworks.store import store, store_of
from taskworks.typed import registry


class WorkflowView(TaskView):
    """The base of the views of workflows."""

    def get_queryset(self) -> Any:
        return store().workflows

    def workflow(self, pk: str, *, to_change: bool = False) -> Workflow:
        """Return the workflow of the address; raise NotFound if the user may not see it."""
        row = self.viewer.workflow(pk, to_change=to_change)
        self.check_object_permissions(self.request, row)
        return row

    @staticmethod
    def shown_workflow(row: Workflow) -> dict[str, Any]:
        return workflow_as_json(row, workflows_shown.counts_of(store_of(row), [row])[row.id])


class WorkflowList(WorkflowView):
    """``/tasks/workflows/``: lists the user's workflows."""

    def get(self, request: Request, **captured: Any) -> Response:
        filters = WorkflowListQuery.of(request.query_params)
        filters.is_valid(raise_exception=True)
        given = filters.validated_data
        viewer, mine = self.viewer, given.get("mine", False)
        newest = partial(viewer.newest_workflows, lookups=filters.lookups, mine=mine)
        page = ListPage(newest, given["page_size"], given.get("cursor"))
        shown = page_as_json(page.rows, _counts_of(page.rows), page.next_address(request))
        return Response({**shown, **page.missing})


def _counts_of(rows: list[Workflow]) -> dict[UUID, workflows_shown.Counts]:
    counts: dict[UUID, workflows_shown.Counts] = {}
    for alias in dict.fromkeys(row._state.db for row in rows):
        here = [row for row in rows if row._state.db == alias]
        counts |= workflows_shown.counts_of_unfinished(store(alias), here)
    return counts


class WorkflowDetail(WorkflowView):
    """``/tasks/workflows/{id}/``: shows a workflow."""

    def get(self, request: Request, pk: str, **captured: Any) -> Response:
        return Response(self.shown_workflow(self.workflow(pk)))


class WorkflowSteps(WorkflowView):
    """``/tasks/workflows/{id}/steps/``: shows its steps."""

    def get(self, request: Request, pk: str, **captured: Any) -> Response:
        row = self.workflow(pk)
        return Response(steps_as_json(workflows_shown.shown(store_of(row), row)))


class CancelWorkflow(WorkflowView):
    """``/tasks/workflows/{id}/cancel/``: cancels a workflow."""

    def post(self, request: Request, pk: str, **captured: Any) -> Response:
        row = self.workflow(pk, to_change=True)
        verdict, reason = workflow_actions.cancel(row)
        if verdict is Verdict.NOT_APPLICABLE:
            raise Conflict(reason)
        return Response(self.shown_workflow(self.viewer.workflow(pk)))


class RetryWorkflow(WorkflowView):
    """``/tasks/workflows/{id}/retry/``: executes runs again, of all or from a step on."""

    def post(self, request: Request, pk: str, **captured: Any) -> Response:
        row = self.workflow(pk, to_change=True)
        body = RetryWorkflowSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        self._admit_all(row)
        step, again = body.validated_data.get("from_step"), body.validated_data["again"]
        try:
            verdict, reason, _ = workflow_actions.retry(row, step, again=again)
        except LookupError as error:
            raise ValidationError({"from_step": [str(error)]}) from None
        if verdict is Verdict.NOT_APPLICABLE:
            raise Conflict(reason)
        return Response(self.shown_workflow(self.viewer.workflow(pk)))

    def _admit_all(self, row: Workflow) -> None:
        """Refuse to execute tasks again that the user may not start, or has started too often."""
        for path in access.task_paths_of(row):
            if task := registry.find(name) if (name := registry.named(path)) else None:
                self.admit(task)
                self.throttle(task)


class WorkflowEvents(WorkflowView):
    """``/tasks/workflows/{id}/events/``: streams how far a workflow is, as server-sent events."""

    http_method_names = ["get", "options"]  # noqa: RUF012 - without HEAD, as that of a run

    def get(self, request: Request, pk: str, **captured: Any) -> HttpResponseBase:
        row = self.workflow(pk)
        if not self.can_stream:
            raise NotStreamed
        refuse_to_stream_from_another_database(row)
        known = self.shown_workflow(row)
        if is_the_end(known, request.headers.get("Last-Event-ID", "")):
            return HttpResponse(status=204)
        holder = holder_of(self.viewer.owner, request.META.get("REMOTE_ADDR", ""))
        if not hub.has_place_for(holder):
            self.throttled(request, STREAM_RETRY_AFTER)
        return WorkflowEventStream(row.id, known, holder).response()
