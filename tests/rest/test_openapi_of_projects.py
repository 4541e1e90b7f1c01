"""The OpenAPI document of a project that includes the API: valid, in its version, its own names."""

from collections.abc import Callable
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import include, path
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.management.commands.spectacular import Command
from drf_spectacular.settings import patched_settings
from rest_framework import serializers
from rest_framework.routers import SimpleRouter
from rest_framework.viewsets import ModelViewSet

from taskworks.rest.openapi.version_3_0 import in_3_0
from tests.endpoints.models import Order
from tests.rest import modelled, offered
from tests.rest.test_openapi import references

pytestmark = pytest.mark.any_database

VERSIONS = ["3.0.3", "3.1.0"]
API = path("background/", include("taskworks.rest.urls"))


@pytest.fixture
def documented(settings: Any, configured: Any) -> Callable[..., Any]:
    """Return the document of a project with these URLs, in this version."""
    configured(
        API_TASKS=[*offered.PATHS, *modelled.PATHS],
        API_AUTHENTICATION_CLASSES=["rest_framework.authentication.SessionAuthentication"],
    )
    settings.REST_FRAMEWORK = {
        **settings.REST_FRAMEWORK,
        "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    }

    def documented(version: str, *patterns: Any) -> Any:
        with patched_settings({"OAS_VERSION": version}):
            document = SchemaGenerator(patterns=[*patterns]).get_schema(request=None, public=True)
        assert document["openapi"] == version
        return document

    return documented


@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_valid_and_nothing_in_it_is_worth_a_warning(
    version: str, documented: Any, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    urls = SimpleNamespace(
        urlpatterns=[API, path("<slug:tenant>/", include("taskworks.rest.urls"))]
    )
    settings.ROOT_URLCONF = urls
    with patched_settings({"OAS_VERSION": version}):
        call_command(Command(), validate=True, fail_on_warn=True, stdout=StringIO())
    assert capsys.readouterr().err == ""


# What only JSON Schema 2020-12 has, as far as the offered tasks need it.
NOT_IN_3_0 = {"const", "examples", "patternProperties", "prefixItems", "propertyNames"}


def schemas_in(value: Any) -> list[dict[str, Any]]:
    """The schemas of a component and all inside it."""
    inner = [
        *value.get("properties", {}).values(),
        *(one for key in ("allOf", "anyOf", "oneOf") for one in value.get(key, ())),
        *(
            value[key]
            for key in ("items", "additionalProperties")
            if isinstance(value.get(key), dict)
        ),
    ]
    return [value, *(schema for one in inner for schema in schemas_in(one))]


def test_in_3_0_it_has_no_word_of_3_1(documented: Any) -> None:
    components = documented("3.0.3", API)["components"]["schemas"]
    for schema in (inner for component in components.values() for inner in schemas_in(component)):
        assert not NOT_IN_3_0 & schema.keys(), schema
        assert not isinstance(schema.get("type"), list), schema
        assert schema.get("type") != "null", schema
        assert ("items" in schema) == (schema.get("type") == "array"), schema
    note = components["TaskworksItem"]["properties"]["note"]
    assert (note["type"], note["nullable"]) == ("string", True)


def test_in_3_1_it_has_json_schema(documented: Any) -> None:
    components = documented("3.1.0", API)["components"]["schemas"]
    inputs = components["TaskworksEverythingInputs"]["properties"]
    assert [one["type"] for one in inputs["place"]["prefixItems"]] == ["number", "number", "string"]
    assert inputs["only"]["const"] == "this"
    number = components["TaskworksItem"]["properties"]["number"]
    assert (number["exclusiveMinimum"], number["exclusiveMaximum"]) == (0, 1000)


# JSON Schema, and what says the same in 3.0.
TRANSLATED: list[tuple[Any, Any]] = [
    ({"const": 7}, {"type": "integer", "enum": [7]}),
    ({"type": "null"}, {"enum": [None], "nullable": True}),
    ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
    (
        {"type": ["array", "string", "null"], "minLength": 1, "items": {}, "title": "T"},
        {
            "anyOf": [
                {"type": "array", "minLength": 1, "items": {}},
                {"type": "string", "minLength": 1},
            ],
            "nullable": True,
            "title": "T",
        },
    ),
    (
        {"anyOf": [{"$ref": "#/x"}, {"type": "null"}], "title": "T"},
        {"allOf": [{"$ref": "#/x"}], "nullable": True, "title": "T"},
    ),
    (
        {"anyOf": [{"const": "a"}, {"type": "null"}]},
        {"allOf": [{"type": "string", "enum": ["a"]}], "nullable": True},
    ),
    (
        {"oneOf": [{"$ref": "#/x"}, {"$ref": "#/y"}, {"type": "null"}]},
        {"oneOf": [{"$ref": "#/x"}, {"$ref": "#/y"}], "nullable": True},
    ),
    ({"exclusiveMinimum": 0}, {"minimum": 0, "exclusiveMinimum": True}),
    ({"exclusiveMinimum": 0, "minimum": 3}, {"minimum": 3}),
    ({"exclusiveMaximum": 3, "maximum": 3}, {"maximum": 3, "exclusiveMaximum": True}),
    ({"type": "array"}, {"type": "array", "items": {}}),
    (
        {"type": "array", "prefixItems": [{"type": "string"}, {"const": 1}], "items": False},
        {
            "type": "array",
            "items": {"anyOf": [{"type": "string"}, {"type": "integer", "enum": [1]}]},
        },
    ),
    (
        {"type": "object", "patternProperties": {"^a": {"type": "string"}}},
        {"type": "object", "additionalProperties": {"type": "string"}},
    ),
    (
        {"type": "object", "additionalProperties": {"exclusiveMaximum": 1}},
        {
            "type": "object",
            "additionalProperties": {"maximum": 1, "exclusiveMaximum": True},
        },
    ),
    ({"type": "string", "examples": ["a", "b"]}, {"type": "string", "example": "a"}),
    ({"$ref": "#/x", "title": "T"}, {"allOf": [{"$ref": "#/x"}], "title": "T"}),
    (
        {"type": "string", "contentMediaType": "application/json", "widget": 1, "x-w": 1},
        {"type": "string", "x-w": 1},
    ),
    # Properties may be called as words are, and data may look like schemas.
    (
        {"properties": {"const": {"type": "null"}}, "default": {"const": 1}, "required": []},
        {
            "properties": {"const": {"enum": [None], "nullable": True}},
            "default": {"const": 1},
        },
    ),
    (True, {}),
    (False, {"not": {}}),
]


def test_json_schema_in_the_words_of_3_0() -> None:
    for given, expected in TRANSLATED:
        assert in_3_0(given) == expected, given


def component_of(schema: Any) -> str:
    """The component that a schema refers to, maybe with siblings."""
    [name] = references(schema)
    return name


@pytest.mark.parametrize("version", VERSIONS)
def test_a_model_is_one_component_wherever_it_is(version: str, documented: Any) -> None:
    components = documented(version, API)["components"]["schemas"]

    def refers(name: str, field: str) -> str:
        return component_of(components[f"Taskworks{name}"]["properties"][field])

    order = refers("TakeInputs", "order")
    assert order == refers("CheckInputs", "order") == refers("CheckOutputs", "result")
    item = component_of(components[order]["properties"]["items"])
    assert item == refers("PriceInputs", "item") == "TaskworksItem"
    folder = refers("EverythingInputs", "folder")
    assert component_of(components[folder]["properties"]["folders"]) == folder
    # Where input and output differ, there are two; and two of another model of the same name.
    priced = refers("PriceInputs", "priced"), refers("PriceOutputs", "result")
    assert priced == ("TaskworksPricedInput", "TaskworksPricedOutput")
    assert "total" in components[priced[1]]["properties"]
    assert component_of(components[priced[1]]["properties"]["items"]) == item
    other = refers("OrderElsewhereInputs", "order")
    assert other != order
    assert "number" in components[other]["properties"]
    # One that is called as a component of the API is another one.
    assert "km" in components[refers("OrderElsewhereInputs", "run")]["properties"]


def test_a_model_that_refers_to_itself_is_one_component_too(
    documented: Any, configured: Any
) -> None:
    configured(API_TASKS=[f"{modelled.__name__}.{name}" for name in ("everything", "tidy")])
    components = documented("3.1.0", API)["components"]["schemas"]
    assert [name for name in components if "Folder" in name] == ["TaskworksFolder"]


# The project's own names.


class TaskRunSerializer(serializers.Serializer):
    status = serializers.ChoiceField(["asleep", "awake"])
    level = serializers.ChoiceField(["low", "high"])
    kind = serializers.ChoiceField(["cat", "bird"])
    task = serializers.ChoiceField(["add", "remove"])


class ProblemSerializer(serializers.Serializer):
    status = serializers.ChoiceField(["asleep", "awake"])
    only = serializers.ChoiceField(["that"])


class StatusSerializer(serializers.Serializer):
    level_list = serializers.MultipleChoiceField(choices=["a", "b"])
    problem = ProblemSerializer()


class OrderSerializer(serializers.Serializer):
    optional_size = serializers.ChoiceField(["s", "l"], allow_null=True)


def own_view(of: Any) -> Any:
    return type("Own", (ModelViewSet,), {"serializer_class": of, "queryset": Order.objects.all()})


def own_urls() -> list[Any]:
    router = SimpleRouter()
    for place in ("tasks", "problems", "status", "orders"):
        serializer = {
            "tasks": TaskRunSerializer,
            "problems": ProblemSerializer,
            "status": StatusSerializer,
            "orders": OrderSerializer,
        }[place]
        router.register(place, own_view(serializer), basename=place)
    return [path("", include(router.urls))]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_project_s_own_names_are_as_without_the_api(
    version: str, documented: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = documented(version, *own_urls())
    both = documented(version, *own_urls(), API)
    assert capsys.readouterr().err == ""
    own = {place: both["paths"][place] for place in alone["paths"]}
    assert own == alone["paths"]
    schemas = both["components"]["schemas"]
    assert {"TaskRun", "Problem", "Status", "Order", "StatusEnum"} <= {*schemas}
    ours = {name for name in schemas if name.startswith("Taskworks")}
    assert {name: schemas[name] for name in {*schemas} - ours} == alone["components"]["schemas"]


def test_each_inclusion_has_operations_of_its_own(
    documented: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    places = [path(f"{name}/", include("taskworks.rest.urls")) for name in ("v1", "v2")]
    paths = documented("3.1.0", *places)["paths"]
    assert capsys.readouterr().err == ""
    assert paths["/v1/tasks/"]["get"]["operationId"] == "taskworks_list"
    assert paths["/v2/tasks/"]["get"]["operationId"] == "taskworks_v2_list"
    assert paths["/v2/tasks/{id}/cancel/"]["post"]["operationId"] == "taskworks_v2_cancel"
