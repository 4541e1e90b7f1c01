"""``EndpointDefinition``: a declarative view with a resource, a response and tasks."""

from typing import Any, ClassVar

from django.http import HttpResponseBase
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response
from rest_framework.views import APIView

from taskworks.endpoints.cached_attribute import CachedAttribute, cache_attribute
from taskworks.endpoints.response_filters import Filters, filtered
from taskworks.endpoints.view_mixin import EndpointTasks, Resource


def _no_resource(endpoint: Any) -> Any:
    raise NotImplementedError(f"{type(endpoint).__qualname__} must define resource.")


class _DefaultResponse(CachedAttribute):
    """The resource that the endpoint has at this time, unless another response was set."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None or self._name in instance.__dict__:
            return super().__get__(instance, owner)
        return instance.resource


class EndpointDefinition(EndpointTasks, APIView):
    """
    A view of Django REST framework that is declared: who may use it, its resource, its tasks, and
    its response, which are evaluated in this order.

    ``resource`` and ``response``, properties or methods, are computed once per request, so tasks
    may change ``self.response``. The view answers the methods in ``http_method_names``; by default
    only GET, HEAD and OPTIONS.
    """

    http_method_names = ["get", "head", "options"]  # noqa: RUF012 - as in Django's views
    # If it raises ObjectDoesNotExist, the answer is a 404.
    resource: Any = Resource(_no_resource)
    response: Any = _DefaultResponse(_no_resource)
    response_filter: ClassVar[Filters] = {}
    _hooks: ClassVar[tuple[str, ...]] = (
        *EndpointTasks._hooks,
        "response",
        "http_status",
        "is_authorized",
        "is_permitted",
        "is_valid",
    )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cache_attribute(cls, "response", CachedAttribute)

    @property
    def http_status(self) -> int:
        """The status of the response; with 204 it has no body."""
        return 200

    def is_authorized(self) -> bool:
        """Return whether the client may use the endpoint; by default nobody may."""
        return False

    def is_permitted(self) -> bool:
        """Return whether the client may do what it requests."""
        return True

    def is_valid(self) -> bool:
        """Return whether the request is valid; otherwise the answer is a 400."""
        return True

    def check_permissions(self, request: Any) -> None:
        """Check ``permission_classes``, then the endpoint's own permissions."""
        super().check_permissions(request)
        if not self.is_authorized() or not self.is_permitted():
            self.permission_denied(request)

    def get(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the tasks, and return the response."""
        if not self.is_valid():
            raise ValidationError("The request is not valid.")
        self.check_object_permissions(request, self.resource)
        self.run_tasks()
        response = self.response
        if isinstance(response, HttpResponseBase):
            return response
        status = self.http_status
        body = None if status == 204 else filtered(response, self.response_filter)
        return Response(body, status=status)

    post = put = patch = delete = get
