"""The views of runs: one class for each address. Those of workflows are in workflow_views.py."""

from functools import partial
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import (
    add_never_cache_headers,
    get_conditional_response,
    patch_cache_control,
)
from django.utils.encoding import escape_uri_path
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView, exception_handler

from taskworks.actions import run_actions
from taskworks.actions.run_actions import Verdict
from taskworks.actions.waiting import why_waiting
from taskworks.backends.shards import databases
from taskworks.models import TaskRun
from taskworks.rest import access, openapi
from taskworks.rest.access import Viewer
from taskworks.rest.events.hub import hub
from taskworks.rest.events.places import holder_of
from taskworks.rest.events.stream import EventStream, is_the_end
from taskworks.rest.json_format import (
    AlwaysJSON,
    ASCIIJSONRenderer,
    BodyTooLarge,
    BoundedJSONParser,
)
from taskworks.rest.list_query import ListPage, RunListQuery
from taskworks.rest.sending import SendEventSerializer
from taskworks.rest.serializers import (
    TaskRunSerializer,
    TaskTypeSerializer,
    run_as_json,
    run_of_result,
)
from taskworks.rest.starting import StartTaskSerializer, start, validated_key
from taskworks.store import store
from taskworks.typed import registry

STREAM_RETRY_AFTER = 10  # seconds
EVENTS_HEADER = "Taskworks-Events"  # "none" where no events are streamed


class Conflict(APIException):
    status_code = 409
    default_code = "not_applicable"


class NotStreamed(APIException):
    status_code = 406
    default_detail = (
        "Events are streamed under ASGI only, and this is WSGI: get the run every second instead."
    )
    default_code = "not_streamed"


class TaskThrottle(ScopedRateThrottle):
    """Counts by the scope of a task, which is known only after the body has been read."""

    @property
    def THROTTLE_RATES(self) -> Any:  # type: ignore[override] # noqa: N802 - DRF's name
        return api_settings.DEFAULT_THROTTLE_RATES  # as they are now


class TaskView(APIView):
    """
    The base of all views: JSON only, and closed unless the settings open it.

    Where the project's URLs capture something before they include the API, the views are given it
    and do not use it; permission classes may.
    """

    parser_classes = (BoundedJSONParser,)
    renderer_classes = (ASCIIJSONRenderer,)
    content_negotiation_class = AlwaysJSON
    versioning_class = None
    schema = openapi.view_schema()

    def get_authenticators(self) -> list[Any]:
        return [make() for make in access.authentication_classes()]

    def get_permissions(self) -> list[Any]:
        return [make() for make in access.permission_classes()]

    def get_exception_handler(self) -> Any:
        return exception_handler

    def handle_exception(self, exc: Exception) -> Response:
        # From a session's CSRF check: Django looks for the token in the body, and bounds that too.
        is_too_large = isinstance(exc, RequestDataTooBig)
        return super().handle_exception(BodyTooLarge() if is_too_large else exc)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """
        Say of every answer that is not to be stored, errors included, that it is not; and under
        WSGI that there are no events, so that clients need not ask in vain.
        """
        answer = super().finalize_response(request, response, *args, **kwargs)
        if not self.can_stream:
            answer.headers[EVENTS_HEADER] = "none"
        if not answer.has_header("Cache-Control"):
            add_never_cache_headers(answer)
        return answer

    def get_queryset(self) -> Any:
        """Return the runs, whose model permission classes and drf-spectacular ask for."""
        return store().runs

    @property
    def can_stream(self) -> bool:
        """Return whether the server streams, which is so under ASGI."""
        return isinstance(self.request._request, ASGIRequest)

    @property
    def viewer(self) -> Viewer:
        return Viewer(self.request.user)

    def shown(self, run: Any, **options: Any) -> Any:
        """Return a run, or with ``many`` several, as this user may see them."""
        sees = self.viewer.sees_details()
        context = {"with_detail": sees, "with_lines": sees and not options.get("many")}
        return TaskRunSerializer(run, context=context, **options).data

    def run(self, pk: str, *, to_change: bool = False) -> TaskRun:
        """Return the run of the address; raise NotFound for one that the user may not see."""
        run = self.viewer.run(pk, to_change=to_change)
        self.check_object_permissions(self.request, run)
        return run

    def admit(self, task: Any) -> None:
        """Raise PermissionDenied or NotAuthenticated if the user may not start this task."""
        for permission in self._permissions_of(task):
            if not permission.has_permission(self.request, self):
                self.permission_denied(
                    self.request,
                    message=getattr(permission, "message", None),
                    code=getattr(permission, "code", None),
                )

    def admits(self, task: Any) -> bool:
        """Return whether the user may start this task."""
        permissions = self._permissions_of(task)
        return all(permission.has_permission(self.request, self) for permission in permissions)

    def throttle(self, task: Any) -> None:
        """Raise Throttled if the user has started this task too often."""
        self.throttle_scope = task.typed.throttle_scope
        throttle = TaskThrottle()
        if not throttle.allow_request(self.request, self):
            self.throttled(self.request, throttle.wait())  # type: ignore[arg-type]

    @staticmethod
    def _permissions_of(task: Any) -> list[Any]:
        return [make() for make in access.classes_of(task)]


class TaskList(TaskView):
    """``/tasks/``: lists the user's runs, and starts tasks."""

    def get(self, request: Request, **captured: Any) -> Response:
        filters = RunListQuery.of(request.query_params)
        filters.is_valid(raise_exception=True)
        given = filters.validated_data
        viewer, mine = self.viewer, given.get("mine", False)
        newest = partial(viewer.newest_runs, meant=filters.meant, mine=mine)
        page = ListPage(newest, given["page_size"], given.get("cursor"))
        results = self.shown(page.rows, many=True)
        return Response({"next": page.next_address(request), "results": results, **page.missing})

    def post(self, request: Request, **captured: Any) -> Response:
        # First, because the host may be refused.
        address = request.build_absolute_uri(escape_uri_path(request.path))
        key = validated_key(request, self.viewer.owner)
        body = StartTaskSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        task = body.validated_data["task"]
        self.admit(task)
        self.throttle(task)
        result, is_new = start(task, body.validated_data["inputs"], self.viewer.owner, key)
        run = run_of_result(result) if is_new else self.run(result.id)
        return Response(
            self.shown(run),
            status=201 if is_new else 200,
            headers={"Location": f"{address}{result.id}/"},
        )


class TaskTypes(TaskView):
    """``/tasks/types/``: lists the tasks that the user may start."""

    def get(self, request: Request, **captured: Any) -> Response:
        offered = registry.offered().items()
        admitted = [(name, task) for name, task in offered if self.admits(task)]
        return Response({"results": TaskTypeSerializer(admitted, many=True).data})


class TaskDetail(TaskView):
    """``/tasks/{id}/``: shows a run, and to staff why it waits."""

    def get(self, request: Request, pk: str, **captured: Any) -> Response:
        run = self.run(pk)
        # It may name other runs, and the person who has paused its queue.
        more = {"why_waiting": why_waiting(run)} if self.viewer.sees_details() else {}
        return Response({**self.shown(run), **more})


class CancelTask(TaskView):
    """``/tasks/{id}/cancel/``: cancels a run, or asks its worker to."""

    def post(self, request: Request, pk: str, **captured: Any) -> Response:
        run = self.run(pk, to_change=True)
        return self._answer(pk, run_actions.cancel(run))

    def _answer(self, pk: str, answer: run_actions.Answer) -> Response:
        if answer.verdict is Verdict.NOT_APPLICABLE:
            raise Conflict(answer.reason)
        return Response(self.shown(self.viewer.run(pk, to_change=True)))


class RetryTask(CancelTask):
    """``/tasks/{id}/retry/``: makes a failed or cancelled run ready again."""

    def post(self, request: Request, pk: str, **captured: Any) -> Response:
        run = self.run(pk, to_change=True)
        task = registry.find(name) if (name := registry.named(run.task_path)) else None
        if task is not None:
            self.admit(task)
            self.throttle(task)
        return self._answer(pk, run_actions.retry(run))


class SendEvent(TaskView):
    """``/tasks/{id}/send/``: sends an event to a run."""

    def post(self, request: Request, pk: str, **captured: Any) -> Response:
        run = self.viewer.run_to_send_to(pk)
        self.check_object_permissions(request, run)
        body = SendEventSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        name, value = body.validated_data["name"], body.validated_data["value"]
        try:
            verdict, reason = run_actions.send(run, name, value)
        except (TypeError, ValueError) as error:
            raise ValidationError({"value": [str(error)]}) from None
        if verdict is Verdict.NOT_APPLICABLE:
            raise Conflict(reason)
        return Response(self.shown(self.viewer.run(pk)))


def refuse_to_stream_from_another_database(row: Any) -> None:
    """Raise NotStreamed unless the row is in the database that the thread of the streams reads."""
    if row._state.db != databases()[0]:
        raise NotStreamed(
            "Events are streamed from one database only, and this is in another: get it every "
            "second instead."
        )


class TaskEvents(TaskView):
    """``/tasks/{id}/events/``: streams the progress of a run, as server-sent events."""

    # Without HEAD, which would be answered only at the end of the stream.
    http_method_names = ["get", "options"]  # noqa: RUF012 - as Django's views have it

    def get(self, request: Request, pk: str, **captured: Any) -> HttpResponseBase:
        run = self.run(pk)
        if not self.can_stream:
            raise NotStreamed
        refuse_to_stream_from_another_database(run)
        known = run_as_json(run)
        if is_the_end(known, request.headers.get("Last-Event-ID", "")):
            return HttpResponse(status=204)
        holder = holder_of(self.viewer.owner, request.META.get("REMOTE_ADDR", ""))
        if not hub.has_place_for(holder):
            self.throttled(request, STREAM_RETRY_AFTER)
        return EventStream(run.id, known, holder).response()


class TaskSchema(TaskView):
    """``/tasks/schema/``: the OpenAPI document of these views."""

    def get(self, request: Request, **captured: Any) -> HttpResponseBase:
        if not openapi.has_spectacular:
            raise NotFound("This document needs drf-spectacular: django-taskworks[openapi].")
        from taskworks.rest.openapi.document import document

        content, etag = document(escape_uri_path(request.path).removesuffix("tasks/schema/"))
        answer = HttpResponse(content, ASCIIJSONRenderer.media_type, headers={"ETag": etag})
        # A browser may keep it if it asks each time; a cache for all may not, because only those
        # who may use the API may read it.
        patch_cache_control(answer, private=True, no_cache=True)
        return get_conditional_response(request._request, etag=etag, response=answer) or answer
