"""Views with tasks: the mixin in views of all kinds, and endpoint definitions."""

from collections.abc import Callable
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.http import HttpResponse
from django.utils.functional import SimpleLazyObject
from rest_framework.authentication import BasicAuthentication, SessionAuthentication
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIClient, APIRequestFactory
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from taskworks import Task
from taskworks.endpoints import (
    ALWAYS,
    IF_TRUTHY,
    NEVER,
    EndpointDefinition,
    EndpointTasks,
    deferrable_task,
    task,
)
from taskworks.endpoints.decorators import EndpointTask
from taskworks.endpoints.response_filters import filtered
from taskworks.models import TaskRun
from tests.endpoints import orders
from tests.endpoints.conftest import Settings
from tests.endpoints.models import Event, Letter, Order, Parcel
from tests.endpoints.orders import OrderEndpoint

Events = Callable[[], list[str]]


def answer(endpoint: Any, method: str = "get", number: str = "A7", **data: Any) -> Any:
    request = getattr(APIRequestFactory(), method)("/", data or None, format="json")
    response = endpoint.as_view()(request, number=number)
    return response.render() if hasattr(response, "render") else response


class Myself(EndpointDefinition):
    """Its resource is the user of the session, a lazy object."""

    http_method_names = ["post"]
    authentication_classes = (SessionAuthentication,)
    response_filter = {User: {"username": ALWAYS, "first_name": ALWAYS}}

    def is_authorized(self) -> bool:
        return True

    @property
    def resource(self) -> Any:
        return self.request.user

    @task
    def rename(self) -> None:
        self.resource.first_name = "Ann"

    @deferrable_task
    @staticmethod
    def greet(user: User) -> None:
        Event.objects.create(order="-", name=f"hello {user.first_name}")

    @property
    def response(self) -> Any:
        return {"me": self.request.user, "runs": len(self.deferred)}


class OnlyModels:
    """A typical router, which reads the model's app label."""

    def db_for_write(self, model: Any, **hints: Any) -> None:
        assert model._meta.app_label


def test_the_user_of_a_session_may_be_the_resource(worked: Events, settings: Settings) -> None:
    settings.DATABASE_ROUTERS = [OnlyModels()]
    ann = User.objects.create_user("ann")
    request = APIRequestFactory().post("/")
    request.user = SimpleLazyObject(lambda: User.objects.get(pk=ann.pk))
    request._dont_enforce_csrf_checks = True
    response = Myself.as_view()(request)
    assert response.data == {"me": {"username": "ann", "first_name": "Ann"}, "runs": 1}
    assert worked() == ["hello Ann"]


# The mixin.


def test_a_generic_view_that_creates(client: APIClient, worked: Events) -> None:
    answer = client.post("/CreateOrder/", {"number": "B1", "note": "hi"})
    assert answer.status_code == 201
    assert answer.json() == {"number": "B1", "note": "hi!", "total": 7}
    assert Order.objects.get().note == "hi!"
    assert worked() == ["mailed hi!"]


def test_a_viewset_creates_and_updates(client: APIClient, worked: Events) -> None:
    assert client.post("/viewset/orders/", {"number": "B1", "note": "hi"}).json()["note"] == "hi!"
    patched = client.patch("/viewset/orders/B1/", {"note": "ho"}, format="json")
    assert patched.json()["note"] == "ho!"
    assert client.get("/viewset/orders/B1/").json()["note"] == "ho!"
    assert client.get("/viewset/orders/").status_code == 200
    assert TaskRun.objects.count() == 2
    assert worked() == ["mailed ho!", "mailed ho!"]
    assert client.delete("/viewset/orders/B1/").status_code == 204
    assert TaskRun.objects.count() == 2


def test_a_generic_view_that_updates_its_own_resource(order: Order) -> None:
    class View(orders.OrderViewSet):
        mail = None

        def get_object(self) -> Order:
            return self.resource

        @property
        def resource(self) -> Order:
            return Order.objects.get(number=self.kwargs["number"])

    request = APIRequestFactory().put("/", {"number": "A7", "note": "ho"}, format="json")
    view = View.as_view({"put": "update"})
    assert view(request, number="A7").data["note"] == "ho!"
    assert Order.objects.get().note == "ho!"


def test_tasks_that_the_view_has_run_are_not_run_again(order: Order) -> None:
    class View(orders.OrderViewSet):
        mail = None

        def perform_update(self, serializer: Any) -> None:
            self.run_tasks(serializer.save())

    request = APIRequestFactory().put("/", {"number": "A7", "note": "ho"}, format="json")
    view = View.as_view({"put": "update"})
    assert view(request, number="A7").data["note"] == "ho!"


def test_a_generic_view_that_saves_nothing_has_no_tasks() -> None:
    class View(orders.OrderViewSet):
        mail = None

        def perform_create(self, serializer: Any) -> None: ...

    request = APIRequestFactory().post("/", {"number": "B1"}, format="json")
    assert View.as_view({"post": "create"})(request).status_code == 201


def test_what_is_not_valid_has_no_tasks(client: APIClient, order: Order) -> None:
    assert client.post("/CreateOrder/", {"number": "A7"}).status_code == 400
    assert not TaskRun.objects.exists()


def test_a_plain_view_says_when(client: APIClient, order: Order, worked: Events) -> None:
    answer = client.post("/SignOrder/A7/")
    assert answer.json() == {"runs": [str(TaskRun.objects.get().id)]}
    assert client.post("/SignOrder/A7/?plain").status_code == 204
    assert worked() == ["mailed please!!", "mailed please!!"]


def test_tasks_are_inherited_replaced_and_removed() -> None:
    class Replaced(orders.Shared):
        compare = None

        @task(priority=-100)
        def b(self) -> None: ...

    class Removed(Replaced):
        count = None

    assert [one.name for one in orders.Shared._plan.synchronous] == ["c", "b", "a", "count"]
    assert [one.name for one in Replaced._plan.synchronous] == ["b", "a", "c", "count"]
    assert [one.name for one in Removed._plan.synchronous] == ["b", "a", "c"]
    assert Replaced._plan.deferrable == []


def test_what_a_task_is_on_the_class_and_on_the_instance() -> None:
    assert isinstance(orders.Shared.a, EndpointTask)
    assert isinstance(orders.Shared().a, EndpointTask)
    assert isinstance(orders.Shared.compare, Task)
    assert orders.Shared().compare is orders.Shared.compare
    assert orders.Shared.compare.module_path == "tests.endpoints.orders.Shared.compare"


# Saving.


def test_only_what_has_changed_is_saved(order: Order) -> None:
    class Endpoint(OrderEndpoint):
        @task
        def change(self) -> None:
            Order.objects.update(note="of somebody else")
            self.resource.total = 3
            self.resource.lines.append("a line")

    before = Order.objects.get().changed_at
    assert answer(Endpoint).status_code == 200
    after = Order.objects.get()
    assert (after.note, after.total, after.lines) == ("of somebody else", 3, ["a line"])
    assert after.changed_at > before


def test_nothing_is_written_if_nothing_has_changed(
    order: Order, django_assert_num_queries: Callable
) -> None:
    class Endpoint(OrderEndpoint):
        @task
        def look(self) -> None:
            assert self.resource.note == "please"

    with django_assert_num_queries(1):
        assert answer(Endpoint).data == {"number": "A7", "note": "please"}


def test_it_is_written_once(order: Order, django_assert_num_queries: Callable) -> None:
    """Although saving changes the field with auto_now."""

    class Endpoint(OrderEndpoint):
        @task
        def change(self) -> None:
            self.resource.total = 3

    with django_assert_num_queries(2):
        answer(Endpoint)


def test_a_field_that_was_not_read_may_be_changed(order: Order) -> None:
    class Endpoint(OrderEndpoint):
        resource = property(lambda self: Order.objects.only("number").get())

        @task
        def change(self) -> None:
            self.resource.note = "new"

    answer(Endpoint)
    assert Order.objects.get().note == "new"


def test_a_task_may_choose_another_resource(order: Order) -> None:
    other = Order.objects.create(number="B1")

    class Endpoint(OrderEndpoint):
        @task
        def choose(self) -> None:
            self.resource = Order.objects.get(pk=other.pk)
            self.resource.note = "chosen"

    assert answer(Endpoint).data == {"number": "B1", "note": "chosen"}
    assert Order.objects.get(pk=other.pk).note == "chosen"


def test_what_was_the_resource_before_is_saved_too(order: Order) -> None:
    other = Order.objects.create(number="B1")

    class Endpoint(OrderEndpoint):
        @task(priority=1)
        def choose_another(self) -> None:
            self.resource.note = "of the first"
            self.first, self.resource = self.resource, Order.objects.get(pk=other.pk)
            self.resource.note = "of the other"

        @task(priority=2)
        def choose_the_first_again(self) -> None:
            self.resource = self.first

    assert answer(Endpoint).data == {"number": "A7", "note": "of the first"}
    assert {*Order.objects.values_list("note", flat=True)} == {"of the first", "of the other"}


def test_a_new_one_may_be_saved_by_a_task_and_changed_after_that() -> None:
    class Endpoint(OrderEndpoint):
        resource = property(lambda self: Order(number="B1", note="new"))

        @task(priority=1)
        def save(self) -> None:
            self.resource.save()

        @task(priority=2)
        def change(self) -> None:
            self.resource.note = "changed"

    answer(Endpoint)
    assert Order.objects.get().note == "changed"


def test_a_file_that_is_not_stored_yet(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path
    letter = Letter.objects.create(paper=ContentFile(b"old", "a.txt"))
    upload = TemporaryUploadedFile(letter.paper.name, "text/plain", 3, "utf-8")
    upload.write(b"new")
    upload.seek(0)

    class Endpoint(OrderEndpoint):
        resource = property(lambda self: Letter.objects.get())

        @task
        def replace(self) -> None:
            assert self.resource.paper.read() == b"old"
            self.resource.paper = upload

    assert answer(Endpoint).status_code == 200
    assert Letter.objects.get().paper.read() == b"new"
    upload.close()


def test_a_view_of_memory_is_compared_by_what_is_in_it(order: Order) -> None:
    """Some database drivers return bytes as a memoryview."""
    letter = Letter.objects.create()
    letter.stamp = memoryview(b"old")

    class Endpoint(OrderEndpoint):
        resource = property(lambda self: letter)

        @task
        def change(self) -> None:
            self.resource.stamp = memoryview(b"new")

    assert answer(Endpoint).status_code == 200
    assert bytes(Letter.objects.get().stamp) == b"new"


class Named:
    """A mixin that is independent of endpoints."""

    @property
    def resource(self) -> Order:
        return Order.objects.get(number=self.kwargs["number"])


class Kept:
    @cached_property
    def resource(self) -> Order:
        return Order.objects.get(number=self.kwargs["number"])


@pytest.mark.parametrize("mixin", [Named, Kept])
def test_a_resource_may_be_declared_in_whatever_way(
    order: Order, mixin: type, django_assert_num_queries: Callable
) -> None:
    class View(mixin, EndpointTasks, APIView):
        @task
        def change(self) -> None:
            self.resource.note += "!"

        def get(self, request: Any, number: str) -> Response:
            self.run_tasks()
            return Response({"note": self.resource.note})

    class Endpoint(mixin, OrderEndpoint):
        @task
        def change(self) -> None:
            self.resource.note += "!"

    with django_assert_num_queries(2):
        assert answer(View).data == {"note": "please!"}
    with django_assert_num_queries(2):
        assert answer(Endpoint).data == {"number": "A7", "note": "please!!"}
    assert Order.objects.get().note == "please!!"
    order.delete()
    assert (answer(View).status_code, answer(Endpoint).status_code) == (404, 404)


def test_a_method_of_a_view_that_is_called_resource_stays_one(order: Order) -> None:
    class View(orders.OrderViewSet):
        mail = None

        def resource(self, request: Any, number: str) -> Response:
            return Response({"number": number})

    view = View.as_view({"get": "resource", "put": "update"})
    assert view(APIRequestFactory().get("/"), number="A7").data == {"number": "A7"}
    request = APIRequestFactory().put("/", {"number": "A7", "note": "ho"}, format="json")
    assert view(request, number="A7").data["note"] == "ho!"


# The definition.


def test_resource_and_response_are_computed_once(order: Order) -> None:
    computed = []

    class Endpoint(OrderEndpoint):
        def resource(self) -> Any:
            computed.append("resource")
            return super().resource

        @property
        def response(self) -> Any:
            computed.append("response")
            return {"number": self.resource.number}

        @task
        def look(self) -> None:
            assert self.response is self.response
            assert self.resource is self.resource

    for _ in range(2):
        assert answer(Endpoint).data == {"number": "A7"}
    assert computed == ["resource", "response"] * 2


def test_a_resource_that_is_not_there_is_a_404() -> None:
    response = answer(OrderEndpoint)
    assert (response.status_code, str(response.data["detail"])) == (404, "Not found: Order.")


def test_without_a_resource_it_says_so() -> None:
    class Endpoint(EndpointDefinition):
        def is_authorized(self) -> bool:
            return True

    with pytest.raises(NotImplementedError, match=r"Endpoint must define resource\."):
        answer(Endpoint)


def test_nobody_may_unless_it_says_so() -> None:
    class Endpoint(EndpointDefinition):
        resource = property(lambda self: {"a": 1})

    assert answer(Endpoint).status_code == 403


@pytest.mark.parametrize(
    ("member", "status"), [("is_authorized", 403), ("is_permitted", 403), ("is_valid", 400)]
)
def test_what_is_refused_has_no_effects(order: Order, member: str, status: int) -> None:
    class Endpoint(OrderEndpoint):
        @task
        def change(self) -> None:
            self.resource.note = "changed"

    setattr(Endpoint, member, lambda self: False)
    assert answer(Endpoint).status_code == status
    assert Order.objects.get().note == "please"


def test_validation_permissions_and_throttling_are_the_frameworks(order: Order) -> None:
    class Never(BaseThrottle):
        def allow_request(self, request: Any, view: Any) -> bool:
            return False

    class Invalid(OrderEndpoint):
        def is_valid(self) -> bool:
            raise ValidationError({"number": ["Wrong."]})

    class Closed(OrderEndpoint):
        authentication_classes = (BasicAuthentication,)
        permission_classes = (IsAuthenticated,)

    class Unauthorized(OrderEndpoint):
        authentication_classes = (BasicAuthentication,)

        def is_authorized(self) -> bool:
            return bool(self.request.user and self.request.user.is_staff)

    class Throttled(OrderEndpoint):
        throttle_classes = (Never,)

    invalid = answer(Invalid)
    assert (invalid.status_code, invalid.data) == (400, {"number": ["Wrong."]})
    assert answer(Closed).status_code == 401
    assert answer(Unauthorized).status_code == 401
    assert answer(Throttled).status_code == 429


def test_so_are_permissions_of_objects(order: Order) -> None:
    class Mine(BasePermission):
        def has_object_permission(self, request: Any, view: Any, obj: Any) -> bool:
            return obj.note == "mine"

    class Endpoint(OrderEndpoint):
        permission_classes = (Mine,)

        @task
        def change(self) -> None:
            self.resource.total += 1

    assert answer(Endpoint).status_code == 403
    assert Order.objects.get().total == 0
    Order.objects.update(note="mine")
    assert answer(Endpoint).status_code == 200
    assert Order.objects.get().total == 1


def test_the_methods_are_those_it_names(order: Order) -> None:
    class Endpoint(EndpointDefinition):
        resource = property(lambda self: {"method": self.request.method, **self.request.data})

        def is_authorized(self) -> bool:
            return True

    class Put(Endpoint):
        http_method_names = ("put", "patch")

    assert answer(Endpoint).data == {"method": "GET"}
    assert answer(Endpoint, "head").status_code == 200
    assert answer(Endpoint, "post").status_code == 405
    assert answer(Put, "put", number="A7", a=1).data == {"method": "PUT", "a": 1}
    assert answer(Put, "patch", a=2).data == {"method": "PATCH", "a": 2}
    assert answer(Put).status_code == 405


@pytest.mark.parametrize(("status", "content"), [(200, b'{"a":1}'), (202, b'{"a":1}'), (204, b"")])
def test_http_status(status: int, content: bytes) -> None:
    class Endpoint(OrderEndpoint):
        resource = property(lambda self: {"a": 1})
        http_status = status

    response = answer(Endpoint)
    assert (response.status_code, response.content) == (status, content)


def test_a_response_of_djangos_passes_as_it_is(order: Order) -> None:
    class Endpoint(OrderEndpoint):
        http_status = 409
        response = property(lambda self: HttpResponse("as it is", status=203))

    response = answer(Endpoint)
    assert (response.status_code, response.content) == (203, b"as it is")


# Response filters.


class Item:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class SubItem(Item):
    pass


def test_what_filters_show() -> None:
    item = Item(a=0, b=0, c=3, d=None, e=Decimal("1.5"), f=3, parts=[SubItem(g=7)])
    rules = {
        "a": ALWAYS,
        "b": IF_TRUTHY,
        "c": NEVER,
        "d": ALWAYS,
        "e": lambda item: item.e * 2,
        "f": IF_TRUTHY,
        "parts": ALWAYS,
    }
    filters = {Item: rules, SubItem: lambda item: {"g": item.g}}
    expected = {"a": 0, "e": Decimal("3.0"), "f": 3, "parts": [{"g": 7}]}
    assert filtered(item, filters) == expected


def test_filters_of_classes_above_hold_too() -> None:
    item = SubItem(a=1, b=2)
    assert filtered(item, {Item: {"a": ALWAYS, "b": ALWAYS}, SubItem: {"b": NEVER}}) == {"a": 1}
    assert filtered(item, {Item: lambda item: item.a}) == 1
    assert filtered([item], {Item: {"a": ALWAYS}}) == [{"a": 1}]


def test_an_objects_own_filter_goes_first(order: Order) -> None:
    order._api_filter = {Order: {"total": ALWAYS}}
    assert filtered({"order": order}, {Order: {"number": ALWAYS}}) == {"order": {"total": 0}}


def test_querysets_and_models_without_a_filter(order: Order) -> None:
    number = {Order: {"number": ALWAYS}}
    assert filtered(Order.objects.all(), number) == [{"number": "A7"}]
    assert filtered(Order.objects, number) == [{"number": "A7"}]
    assert filtered(Parcel(), number) == {}
