"""The views, a class an address."""

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.cache import get_conditional_response
from rest_framework.exceptions import APIException, NotFound
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView, exception_handler

from taskworks.actions import run_actions
from taskworks.actions.run_actions import Verdict
from taskworks.models import TaskRun
from taskworks.rest import access, documented
from taskworks.rest.access import Viewer
from taskworks.rest.events.stream import EventStream, is_the_end, is_too_much
from taskworks.rest.parsing import BoundedJSONParser, TooLarge
from taskworks.rest.rendering import JSON
from taskworks.rest.representation import shown, shown_result
from taskworks.rest.run_filters import Page
from taskworks.rest.starting import asked_for, start, validated_key
from taskworks.typed import registry

RETRY_STREAM_AFTER = 10  # seconds


class Conflict(APIException):
    status_code = 409
    default_code = "not_applicable"


class NotStreamed(APIException):
    status_code = 406
    default_detail = (
        "Events are streamed under ASGI only, and this is WSGI: get the run every second instead."
    )
    default_code = "not_streamed"


class AlwaysJSON(BaseContentNegotiation):
    """Whatever a client says that it accepts: a browser's EventSource accepts no JSON."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        is_json = request.content_type.partition(";")[0].strip() == parsers[0].media_type
        return parsers[0] if is_json else None

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class TaskThrottle(ScopedRateThrottle):
    """Counts by the scope of a task, which is not known before the body is read."""

    @property
    def THROTTLE_RATES(self) -> Any:  # type: ignore[override] # noqa: N802 - a name of theirs
        return api_settings.DEFAULT_THROTTLE_RATES  # as they are now


class TaskView(APIView):
    """What all of them have: JSON alone, closed unless the settings open it."""

    parser_classes = (BoundedJSONParser,)
    renderer_classes = (JSON,)
    content_negotiation_class = AlwaysJSON
    versioning_class = None
    schema = documented.schema()

    def get_authenticators(self) -> list[Any]:
        return [make() for make in access.authentication_classes()]

    def get_permissions(self) -> list[Any]:
        return [make() for make in access.permission_classes()]

    def get_exception_handler(self) -> Any:
        return exception_handler

    def handle_exception(self, exc: Exception) -> Response:
        # A session's token is looked for in the body first, which Django bounds as well.
        return super().handle_exception(TooLarge() if isinstance(exc, RequestDataTooBig) else exc)

    def get_queryset(self) -> Any:
        """What permissions by model ask for."""
        return TaskRun.objects.all()

    @property
    def viewer(self) -> Viewer:
        return Viewer(self.request.user)

    def run(self, pk: str, *, to_change: bool = False) -> TaskRun:
        """The run of the address; raise NotFound for one that the user may not know of."""
        run = self.viewer.run(pk, to_change=to_change)
        self.check_object_permissions(self.request, run)
        return run

    def admit(self, task: Any) -> None:
        """Raise PermissionDenied or NotAuthenticated if this task is not for this user."""
        for permission in self._permissions_of(task):
            if not permission.has_permission(self.request, self):
                self.permission_denied(
                    self.request,
                    message=getattr(permission, "message", None),
                    code=getattr(permission, "code", None),
                )

    def admits(self, task: Any) -> bool:
        """Whether this task is for this user."""
        permissions = self._permissions_of(task)
        return all(permission.has_permission(self.request, self) for permission in permissions)

    def throttle(self, task: Any) -> None:
        """Raise Throttled if this user has started too many of this task."""
        self.throttle_scope = task.typed.throttle_scope
        throttle = TaskThrottle()
        if not throttle.allow_request(self.request, self):
            self.throttled(self.request, throttle.wait())  # type: ignore[arg-type]

    @staticmethod
    def _permissions_of(task: Any) -> list[Any]:
        return [make() for make in access.classes_of(task)]


class TaskList(TaskView):
    """``/tasks/``: start a task; the runs of a user."""

    def get(self, request: Request) -> Response:
        page = Page(request.query_params)
        runs, last = page.of(self.viewer.runs(mine=page.mine))
        following = last and replace_query_param(request.build_absolute_uri(), "cursor", last)
        return Response({"next": following, "results": [shown(run) for run in runs]})

    def post(self, request: Request) -> Response:
        here = request.build_absolute_uri(reverse("taskworks:task-list"))  # the host may be refused
        key = validated_key(request.headers.get("Idempotency-Key"))
        task, inputs = asked_for(request.data)
        self.admit(task)
        self.throttle(task)
        started = start(task, inputs, self.viewer.owner, key)
        return Response(
            shown_result(started.result) if started.is_new else shown(self.run(started.result.id)),
            status=201 if started.is_new else 200,
            headers={"Location": f"{here}{started.result.id}/"},
        )


class TaskTypes(TaskView):
    """``/tasks/types/``: the tasks that a user may start, and what each takes and gives."""

    def get(self, request: Request) -> Response:
        offered = registry.offered().items()
        return Response(
            {"results": [_described(name, task) for name, task in offered if self.admits(task)]}
        )


class TaskDetail(TaskView):
    """``/tasks/{id}/``: a run."""

    def get(self, request: Request, pk: str) -> Response:
        return Response(shown(self.run(pk)))


class CancelTask(TaskView):
    """``/tasks/{id}/cancel/``: cancel a run, or ask its worker to."""

    def post(self, request: Request, pk: str) -> Response:
        run = self.run(pk, to_change=True)
        return self._answer(pk, run_actions.cancel(run))

    def _answer(self, pk: str, answer: run_actions.Answer) -> Response:
        if answer.verdict is Verdict.NOT_APPLICABLE:
            raise Conflict(answer.reason)
        return Response(shown(self.viewer.run(pk, to_change=True)))


class RetryTask(CancelTask):
    """``/tasks/{id}/retry/``: make a failed or cancelled run ready again."""

    def post(self, request: Request, pk: str) -> Response:
        run = self.run(pk, to_change=True)
        task = registry.find(name) if (name := registry.named(run.task_path)) else None
        if task is not None:
            self.admit(task)
            self.throttle(task)
        return self._answer(pk, run_actions.retry(run))


class TaskEvents(TaskView):
    """``/tasks/{id}/events/``: how a run gets on, as server-sent events."""

    # Without HEAD, whose answer would end with the stream: its connection would hang till then.
    http_method_names = ["get", "options"]  # noqa: RUF012 - as Django's views have it

    def get(self, request: Request, pk: str) -> HttpResponseBase:
        run = self.run(pk)
        if not isinstance(request._request, ASGIRequest):
            raise NotStreamed
        known = shown(run)
        if is_the_end(known, request.headers.get("Last-Event-ID", "")):
            return HttpResponse(status=204)
        viewer = self.viewer.owner
        if is_too_much(viewer):
            self.throttled(request, RETRY_STREAM_AFTER)
        return EventStream(run.id, known, viewer).response()


class TaskSchema(TaskView):
    """``/tasks/schema/``: the OpenAPI document of these views."""

    def get(self, request: Request) -> HttpResponseBase:
        if not documented.is_possible:
            raise NotFound("This document needs drf-spectacular: django-taskworks[openapi].")
        content, etag = documented.document()
        answer = HttpResponse(content, JSON.media_type, headers={"ETag": etag})
        return get_conditional_response(request._request, etag=etag, response=answer) or answer


def _described(name: str, task: Any) -> dict[str, Any]:
    return {
        "name": name,
        "description": task.typed.description,
        "inputs": task.inputs.json_schema(),
        "outputs": task.outputs.json_schema(),
    }
