"""``EndpointDefinition``: a small view that says what it is about, and what tasks it has."""

from typing import Any, ClassVar

from django.http import HttpResponseBase
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response
from rest_framework.views import APIView

from taskworks.endpoints.attribute import Once, compute_once
from taskworks.endpoints.filtering import Filters, shown
from taskworks.endpoints.mixin import EndpointTasks, Resource


def _no_resource(endpoint: Any) -> Any:
    raise NotImplementedError(f"{type(endpoint).__qualname__} has no resource: define it.")


class _TheResource(Once):
    """Whichever that is by now, unless it was set to something else."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None or self._name in instance.__dict__:
            return super().__get__(instance, owner)
        return instance.resource


class EndpointDefinition(EndpointTasks, APIView):
    """
    A view of Django REST framework that is declared instead of written: who may, what it is about,
    what else is to be done, and what is answered, in this order.

    ``resource`` and ``response``, properties or methods, are computed once a request; so
    ``self.response`` may be changed by a task. The requests that it answers are those of
    ``http_method_names``, GET alone if it does not say so.
    """

    http_method_names = ["get", "head", "options"]  # noqa: RUF012 - as Django's views have it
    # What the request is about; ObjectDoesNotExist in it is a 404.
    resource: Any = Resource(_no_resource)
    # What is answered.
    response: Any = _TheResource(_no_resource)
    response_filter: ClassVar[Filters] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        compute_once(cls, "response", Once)
        super().__init_subclass__(**kwargs)

    @property
    def http_status(self) -> int:
        """Of the answer; 204 has no body."""
        return 200

    def is_authorized(self) -> bool:
        """Whether this client may use the endpoint; nobody may, unless it is defined otherwise."""
        return False

    def is_permitted(self) -> bool:
        """Whether this client may do this."""
        return True

    def is_valid(self) -> bool:
        """Whether the request makes sense; if it does not, that is a 400."""
        return True

    def check_permissions(self, request: Any) -> None:
        """Those of ``permission_classes``, then the endpoint's own; raises as these do."""
        super().check_permissions(request)
        if not self.is_authorized() or not self.is_permitted():
            self.permission_denied(request)

    def get(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Do it, and answer."""
        if not self.is_valid():
            raise ValidationError("The request is not valid.")
        self.check_object_permissions(request, self.resource)
        self.run_tasks()
        response = self.response
        if isinstance(response, HttpResponseBase):
            return response
        status = self.http_status
        body = None if status == 204 else shown(response, self.response_filter)
        return Response(body, status=status)

    post = put = patch = delete = get
