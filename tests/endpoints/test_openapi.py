"""drf-spectacular describes an endpoint as it describes any view."""

from typing import Any

import pytest
from django.urls import path
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers

from tests.endpoints import orders
from tests.endpoints.conftest import Settings
from tests.endpoints.orders import OrderEndpoint, OrderSerializer

pytestmark = pytest.mark.any_database


class Note(serializers.Serializer):
    note = serializers.CharField()


class Plain(OrderEndpoint):
    """Described by its serializer class alone."""

    serializer_class = OrderSerializer


@pytest.fixture(autouse=True)
def _schemas(settings: Settings) -> None:
    settings.REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}


def operations(endpoint: Any) -> Any:
    """Return the operations of the endpoint in the OpenAPI document."""
    urls = [path("orders/<str:number>/", endpoint.as_view())]
    generator: Any = SchemaGenerator(patterns=urls)
    return generator.get_schema(request=None, public=True)["paths"]["/orders/{number}/"]


def test_an_endpoint_says_what_it_takes_and_answers() -> None:
    @extend_schema_view(put=extend_schema(request=Note))
    @extend_schema(responses={202: OrderSerializer}, description="Changes its note.")
    class Change(OrderEndpoint):
        http_method_names = ["post", "put"]

    described = operations(Change)
    assert set(described) == {"post", "put"}
    for operation in described.values():
        assert operation["description"] == "Changes its note."
        [content] = operation["responses"]["202"]["content"].values()
        assert content == {"schema": {"$ref": "#/components/schemas/Order"}}
        assert [one["name"] for one in operation["parameters"]] == ["number"]
    taken = described["put"]["requestBody"]["content"]["application/json"]
    assert taken == {"schema": {"$ref": "#/components/schemas/Note"}}
    assert "requestBody" not in described["post"]


def test_one_with_a_serializer_class_says_it_by_itself() -> None:
    described = operations(Plain)
    assert set(described) == {"get", "put", "post"}
    answered = described["get"]["responses"]["200"]["content"]["application/json"]
    assert answered == {"schema": {"$ref": "#/components/schemas/Order"}}


@pytest.mark.parametrize("endpoint", [orders.Chained, orders.InOrder, orders.CreateOrder])
def test_nothing_is_done_to_describe_one(endpoint: Any) -> None:
    """The view is inspected without a request; its resource and tasks are not touched."""
    assert operations(endpoint)
