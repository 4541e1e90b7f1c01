"""The operations of the API, for drf-spectacular: it derives their schemas from the serializers."""

import re
from collections.abc import MutableMapping
from typing import Any, ClassVar, NamedTuple
from uuid import UUID
from weakref import WeakKeyDictionary

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema_field

from taskworks.context import LEVELS
from taskworks.rest.list_query import RunListQuery
from taskworks.rest.openapi import start_task  # noqa: F401 - importing it registers its extension
from taskworks.rest.openapi.names import component_name, reference
from taskworks.rest.sending import SendEventSerializer
from taskworks.rest.serializers import (
    STATUSES,
    InputErrorsField,
    LevelField,
    ProblemSerializer,
    RefusalSerializer,
    StatusField,
    TaskRunPageSerializer,
    TaskRunSerializer,
    TaskTypesSerializer,
)
from taskworks.rest.starting import KEY_CHARACTERS, MAX_KEY_LENGTH, StartTaskSerializer
from taskworks.rest.workflow_json import (
    KINDS,
    WORKFLOW_STATUSES,
    KindField,
    RetryWorkflowSerializer,
    WorkflowListQuery,
    WorkflowPageSerializer,
    WorkflowSerializer,
    WorkflowStatusField,
    WorkflowStepsSerializer,
)

TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}
URI = {**TEXT, "format": "uri"}
OBJECT = {"type": "object"}
SECONDS = {"type": "integer", "minimum": 0}

extend_schema_field({"oneOf": [TEXTS, {**OBJECT, "additionalProperties": TEXTS}]})(InputErrorsField)


class EnumExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """
    An enum is a component. Inside another, a hook of the project would move it out, and give an
    enum of the project's own another name if its property is called the same.
    """

    match_subclasses = True
    name: ClassVar[str]
    values: ClassVar[tuple[str, ...]]

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        component: Any = ResolvedComponent
        name = component_name(self.name)
        schema = {**TEXT, "enum": [*self.values]}
        auto_schema.registry.register_on_missing(
            component(name, component.SCHEMA, schema, object=name)
        )
        return {**reference(name)}


class StatusExtension(EnumExtension):  # type: ignore[no-untyped-call]
    target_class = StatusField
    name, values = "Status", STATUSES


class LevelExtension(EnumExtension):  # type: ignore[no-untyped-call]
    target_class = LevelField
    name, values = "Level", LEVELS


class WorkflowStatusExtension(EnumExtension):  # type: ignore[no-untyped-call]
    target_class = WorkflowStatusField
    name, values = "WorkflowStatus", WORKFLOW_STATUSES


class KindExtension(EnumExtension):  # type: ignore[no-untyped-call]
    target_class = KindField
    name, values = "StepKind", KINDS


class Operation(NamedTuple):
    """What a view does with a method, what it takes, and what it answers besides ``REFUSALS``."""

    name: str
    description: str
    responses: dict[Any, OpenApiResponse]
    parameters: tuple[Any, ...] = ()
    request: Any = None


def _header(name: str, schema: dict[str, Any], description: str) -> OpenApiParameter:
    return OpenApiParameter(name, schema, OpenApiParameter.HEADER, description=description)


def _response_header(name: str, schema: dict[str, Any], *statuses: int) -> OpenApiParameter:
    return OpenApiParameter(name, schema, OpenApiParameter.HEADER, response=[*statuses])


def _problem(description: str) -> OpenApiResponse:
    return OpenApiResponse(ProblemSerializer, description)


def _refusal(description: str) -> OpenApiResponse:
    return OpenApiResponse(RefusalSerializer, description)


RUN = OpenApiResponse(TaskRunSerializer, "The run.")
WORKFLOW = OpenApiResponse(WorkflowSerializer, "The workflow.")
NOT_FOUND = {404: _problem("There is no such run, or it is another user's.")}
NO_WORKFLOW = {404: _problem("There is no such workflow, or it is another user's.")}
CONFLICT = {409: _problem("The run's status does not allow it.")}

BODY_REFUSALS = {
    400: _refusal("The body is invalid."),
    413: _problem("The body is too large."),
    415: _problem("The body is not JSON."),
}
LAST_EVENT_ID = _header(
    "Last-Event-ID", {**TEXT, "pattern": r"^[!-~]*$"}, "The last event received."
)


def _streamed(what: str) -> dict[Any, OpenApiResponse]:
    return {
        (200, "text/event-stream"): OpenApiResponse(TEXT, f"The events, until the {what} ends."),
        204: OpenApiResponse(description="The client has already received the last event."),
        406: _problem(f"This server does not stream events: get the {what} instead."),
    }


# Of every operation.
REFUSALS = {
    401: _problem("The user is not signed in."),
    403: _problem("The user may not do this, or the CSRF token is missing."),
    429: _problem("There were too many requests."),
}
RETRY_AFTER = _response_header("Retry-After", SECONDS, 429)

OPERATIONS = {
    ("TaskList", "GET"): Operation(
        "list",
        "The runs of the user, the newest first; staff who may view runs see all.",
        {
            200: OpenApiResponse(TaskRunPageSerializer, "A page of runs."),
            400: _refusal("A filter is invalid, or there is no such filter."),
        },
        parameters=(RunListQuery,),
    ),
    ("TaskList", "POST"): Operation(
        "start",
        "Start a task. A request that is refused starts nothing.",
        {
            201: OpenApiResponse(TaskRunSerializer, "The new run."),
            200: OpenApiResponse(
                TaskRunSerializer,
                "The run that this key has started before, or that stands for an equal one.",
            ),
            400: _refusal("The body or the key is invalid."),
            409: _refusal("An equal run stands, and the task refuses a second one."),
            413: _problem("The body is too large."),
            415: _problem("The body is not JSON."),
            422: _refusal("The key has started another task, or this one with other inputs."),
        },
        parameters=(
            _header(
                "Idempotency-Key",
                {
                    **TEXT,
                    "minLength": 1,
                    "maxLength": MAX_KEY_LENGTH,
                    "pattern": rf"^{KEY_CHARACTERS}$",
                },
                "Requests with the same key start one run.",
            ),
            _response_header("Location", URI, 201, 200),
        ),
        request={"application/json": StartTaskSerializer},
    ),
    ("TaskTypes", "GET"): Operation(
        "types",
        "The tasks that the user may start, with the JSON Schema of their inputs and outputs.",
        {200: OpenApiResponse(TaskTypesSerializer, "All of them.")},
    ),
    ("TaskDetail", "GET"): Operation("retrieve", "A run.", {200: RUN, **NOT_FOUND}),
    ("CancelTask", "POST"): Operation(
        "cancel",
        "Cancel a run, or ask its worker to; then its status changes a little later.",
        {200: RUN, **NOT_FOUND, **CONFLICT},
    ),
    ("RetryTask", "POST"): Operation(
        "retry",
        "Make a failed or cancelled run ready again.",
        {200: RUN, **NOT_FOUND, **CONFLICT},
    ),
    ("SendEvent", "POST"): Operation(
        "send",
        "Send an event to a run, which waits for it now or later. For staff who may change runs.",
        {200: RUN, **BODY_REFUSALS, **NOT_FOUND, 409: _problem("The event counts no more.")},
        request={"application/json": SendEventSerializer},
    ),
    ("TaskEvents", "GET"): Operation(
        "events",
        "The progress of a run, as server-sent events: status (the whole run), progress, message, "
        "gone.",
        {**_streamed("run"), **NOT_FOUND},
        parameters=(LAST_EVENT_ID,),
    ),
    ("WorkflowList", "GET"): Operation(
        "workflows",
        "The workflows of the user, the newest first; staff who may view workflows see all.",
        {
            200: OpenApiResponse(WorkflowPageSerializer, "A page of workflows."),
            400: _refusal("A filter is invalid, or there is no such filter."),
        },
        parameters=(WorkflowListQuery,),
    ),
    ("WorkflowDetail", "GET"): Operation("workflow", "A workflow.", {200: WORKFLOW, **NO_WORKFLOW}),
    ("WorkflowSteps", "GET"): Operation(
        "workflow_steps",
        "The steps of a workflow, each followed by those within it.",
        {200: OpenApiResponse(WorkflowStepsSerializer, "The first 500."), **NO_WORKFLOW},
    ),
    ("CancelWorkflow", "POST"): Operation(
        "workflow_cancel",
        "Cancel the runs of a workflow that wait, and have those stopped that are running.",
        {200: WORKFLOW, **NO_WORKFLOW, **CONFLICT},
    ),
    ("RetryWorkflow", "POST"): Operation(
        "workflow_retry",
        "Execute the runs of a workflow again that have failed or were cancelled. The body may be "
        "left out.",
        {200: WORKFLOW, **BODY_REFUSALS, **NO_WORKFLOW, **CONFLICT},
        request={"application/json": RetryWorkflowSerializer},
    ),
    ("WorkflowEvents", "GET"): Operation(
        "workflow_events",
        "How far a workflow is, as server-sent events: status (the whole workflow), progress, "
        "gone.",
        {**_streamed("workflow"), **NO_WORKFLOW},
        parameters=(LAST_EVENT_ID,),
    ),
    ("TaskSchema", "GET"): Operation(
        "schema",
        "This document.",
        {
            200: OpenApiResponse(OBJECT, "OpenAPI 3.1."),
            304: OpenApiResponse(description="It still has the tag that is in If-None-Match."),
            404: _problem("drf-spectacular is not installed."),
        },
        parameters=(_response_header("ETag", TEXT, 200, 304),),
    ),
}


# By the registry of the document's components.
_first_inclusions: MutableMapping[Any, str] = WeakKeyDictionary()


# Not by @extend_schema, which would build on the project's DEFAULT_SCHEMA_CLASS, whatever that is.
class TaskAutoSchema(AutoSchema):
    """Describes the views of the API, in the document of the whole project as well."""

    @property
    def _operation(self) -> Operation:
        return OPERATIONS[type(self.view).__name__, self.method]

    def is_excluded(self) -> bool:
        return (type(self.view).__name__, self.method) not in OPERATIONS

    def get_operation_id(self) -> str:
        return "_".join(["taskworks", *self._inclusion(), self._operation.name])

    def _inclusion(self) -> list[str]:
        """Return what tells this inclusion of the API from others in the document: its path."""
        before = self.path.rpartition("/tasks/")[0]
        first = _first_inclusions.setdefault(self.registry, before)
        return [] if before == first else re.findall(r"[A-Za-z0-9]+", before)

    def get_serializer_name(self, serializer: Any, direction: Any) -> str:
        return component_name(type(serializer).__name__.removeprefix("Task"))

    def get_description(self) -> str:  # type: ignore[override]
        return self._operation.description

    def get_tags(self) -> list[str]:
        return ["taskworks"]

    def get_override_parameters(self) -> Any:
        names = re.findall(r"{(id|pk)}", self.path)  # pk if the project wants that
        ids = [OpenApiParameter(name, UUID, OpenApiParameter.PATH) for name in names]
        return [*ids, *self._operation.parameters, RETRY_AFTER]

    def get_request_serializer(self) -> Any:
        return self._operation.request

    def get_response_serializers(self) -> Any:
        return {**self._operation.responses, **REFUSALS}
