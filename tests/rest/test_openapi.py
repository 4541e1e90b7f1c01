"""The OpenAPI document: complete, valid, and kept."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.utils.translation import gettext_lazy, override
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import spectacular_settings
from rest_framework.test import APIClient

from taskworks.rest import openapi
from taskworks.rest.openapi import document as openapi_document
from taskworks.typed import registry
from tests.rest import TASKS, offered

pytestmark = pytest.mark.any_database


@pytest.fixture
def document(client: APIClient) -> Any:
    response = client.get(f"{TASKS}schema/")
    assert response.status_code == 200, response.content
    return response.json()


def test_it_has_every_operation(document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    operations = {
        f"{method} {path}": operation["operationId"]
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert operations == {
        "get /api/tasks/": "taskworks_list",
        "post /api/tasks/": "taskworks_start",
        "get /api/tasks/types/": "taskworks_types",
        "get /api/tasks/schema/": "taskworks_schema",
        "get /api/tasks/{id}/": "taskworks_retrieve",
        "post /api/tasks/{id}/cancel/": "taskworks_cancel",
        "post /api/tasks/{id}/retry/": "taskworks_retry",
        "get /api/tasks/{id}/events/": "taskworks_events",
        "post /api/tasks/{id}/send/": "taskworks_send",
        "get /api/tasks/workflows/": "taskworks_workflows",
        "get /api/tasks/workflows/{id}/": "taskworks_workflow",
        "get /api/tasks/workflows/{id}/steps/": "taskworks_workflow_steps",
        "post /api/tasks/workflows/{id}/cancel/": "taskworks_workflow_cancel",
        "post /api/tasks/workflows/{id}/retry/": "taskworks_workflow_retry",
        "get /api/tasks/workflows/{id}/events/": "taskworks_workflow_events",
    }


def test_each_task_has_typed_inputs_told_apart_by_its_name(document: Any) -> None:
    schemas = document["components"]["schemas"]
    start = schemas["TaskworksStartTask"]
    assert start["discriminator"]["propertyName"] == "task"
    mapping = start["discriminator"]["mapping"]
    assert len(mapping) == len(start["oneOf"]) == len(offered.PATHS)
    add = schemas[mapping["add"].rpartition("/")[2]]
    assert add["properties"]["task"] == {"type": "string", "const": "add"}
    inputs = schemas[add["properties"]["inputs"]["$ref"].rpartition("/")[2]]
    assert inputs["required"] == ["a"]
    assert set(inputs["properties"]) == {"a", "b"}


def references(value: Any) -> set[str]:
    """The names of all schemas that a part of the document refers to."""
    if isinstance(value, dict):
        own = {value["$ref"].removeprefix("#/components/schemas/")} if "$ref" in value else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def test_every_reference_leads_somewhere(document: Any) -> None:
    found = references(document)
    assert found
    assert found <= set(document["components"]["schemas"])


def test_the_project_s_own_document_has_them_too() -> None:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    assert "/api/tasks/{id}/cancel/" in schema["paths"]
    assert "TaskworksStartTask" in schema["components"]["schemas"]
    assert references(schema) <= set(schema["components"]["schemas"])


def test_it_does_not_depend_on_the_project_s_settings(
    client: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = etag_of(client)
    openapi_document._document_for.cache_clear()
    for name, value in {"OAS_VERSION": "3.0.3", "COMPONENT_SPLIT_REQUEST": True}.items():
        monkeypatch.setattr(spectacular_settings, name, value)
    assert etag_of(client) == before


def test_the_project_s_own_document_has_its_own_version() -> None:
    openapi_document.document("/api/")
    schema = SchemaGenerator().get_schema(request=None, public=True)
    assert schema["openapi"] == "3.0.3"
    target = schema["components"]["schemas"]["TaskworksRun"]["properties"]["target"]
    assert (target["type"], target["nullable"]) == ("integer", True)


def test_documents_made_at_once_leave_the_project_s_settings_alone(made: list[Any]) -> None:
    version = spectacular_settings.OAS_VERSION
    together = Barrier(4)

    def document_in(language: str) -> bytes:
        with override(language):
            together.wait(timeout=30)
            return openapi_document.document("/api/").content

    with ThreadPoolExecutor(4) as executor:
        documents = [*executor.map(document_in, ("de", "en", "fr", "it"))]
    assert len(made) == 4
    assert all(json.loads(each)["openapi"] == "3.1.0" for each in documents)
    assert version == spectacular_settings.OAS_VERSION


def test_a_task_may_be_called_task(client: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "offered", lambda: {"task": offered.Add.task})
    schemas = client.get(f"{TASKS}schema/").json()["components"]["schemas"]
    [body] = schemas["TaskworksStartTask"]["oneOf"]
    assert body["$ref"] != "#/components/schemas/TaskworksStartTask"
    assert schemas[body["$ref"].rpartition("/")[2]]["properties"]["task"]["const"] == "task"


def test_the_project_s_own_document_does_not_change_it(client: APIClient, made: list[Any]) -> None:
    SchemaGenerator().get_schema(request=None, public=True)  # which has its enums in components
    document = client.get(f"{TASKS}schema/").json()
    assert len(made) == 1
    assert references(document) <= set(document["components"]["schemas"])


def test_without_drf_spectacular_there_is_none(
    client: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openapi, "has_spectacular", False)
    response = client.get(f"{TASKS}schema/")
    assert response.status_code == 404
    assert "django-taskworks[openapi]" in response.json()["detail"]


WITHOUT_SPECTACULAR = """
import sys
sys.modules["drf_spectacular"] = None
import django
django.setup()
from taskworks.rest import openapi, urls
assert not openapi.has_spectacular
"""


def test_without_drf_spectacular_the_api_can_be_imported() -> None:
    subprocess.run(
        [sys.executable, "-c", WITHOUT_SPECTACULAR],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        check=True,
    )


# Made once.


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What documents are made of from now on."""
    openapi_document._document_for.cache_clear()
    made: list[Any] = []

    def generator(**given: Any) -> Any:
        made.append(given)
        return SchemaGenerator(**given)

    monkeypatch.setattr(openapi_document, "SchemaGenerator", generator)
    return made


def etag_of(client: APIClient) -> str:
    return str(client.get(f"{TASKS}schema/").headers["ETag"])


def test_it_is_made_once_for_all_users(
    client: APIClient, client_of: Any, staff: Any, made: list[Any]
) -> None:
    answers = [each.get(f"{TASKS}schema/") for each in (client, client, client_of("root"))]
    assert len({answer.content for answer in answers}) == 1
    assert len(made) == 1


def test_who_has_it_is_not_sent_it_again(client: APIClient) -> None:
    etag = etag_of(client)
    for known in (etag, f"W/{etag}", f'"another", {etag}'):
        answer = client.get(f"{TASKS}schema/", headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["ETag"] == etag
    assert client.get(f"{TASKS}schema/", headers={"If-None-Match": '"old"'}).status_code == 200


def test_nobody_is_told_whether_it_has_changed_who_may_not_see_it(client_of: Any) -> None:
    answer = client_of(None).get(f"{TASKS}schema/", headers={"If-None-Match": "*"})
    assert answer.status_code in (401, 403)


def test_another_is_made_when_other_tasks_are_offered(client: APIClient, configured: Any) -> None:
    before = etag_of(client)
    configured(API_TASKS=offered.PATHS[:1])
    answer = client.get(f"{TASKS}schema/", headers={"If-None-Match": before})
    start = answer.json()["components"]["schemas"]["TaskworksStartTask"]
    assert [*start["discriminator"]["mapping"]] == ["add"]
    configured(API_TASKS=offered.PATHS)
    assert etag_of(client) == before


def test_another_is_made_for_each_address(client: APIClient) -> None:
    assert "/api/tasks/" in client.get(f"{TASKS}schema/").json()["paths"]
    below = client.get(f"{TASKS}schema/", SCRIPT_NAME="/site").json()
    assert "/site/api/tasks/" in below["paths"]


def test_another_is_made_for_each_language(
    client: APIClient, settings: Any, made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MIDDLEWARE = ["django.middleware.locale.LocaleMiddleware"]
    monkeypatch.setattr(offered.Add.task.inputs["a"], "label", gettext_lazy("Yes"))
    titles = []
    for language in ("de", "fr", "de"):
        with override(None):  # the middleware does not restore the language of the thread
            answer = client.get(f"{TASKS}schema/", headers={"Accept-Language": language})
        schemas = answer.json()["components"]["schemas"]
        titles.append(schemas["TaskworksAddInputs"]["properties"]["a"]["title"])
    assert titles == ["Ja", "Oui", "Ja"]
    assert len(made) == 2


def test_another_is_made_for_other_ways_to_sign_in(client: APIClient, configured: Any) -> None:
    configured(API_PERMISSION_CLASSES=["rest_framework.permissions.IsAuthenticated"])
    closed = client.get(f"{TASKS}schema/").json()["paths"]["/api/tasks/"]["get"]
    configured(API_PERMISSION_CLASSES=["rest_framework.permissions.AllowAny"])
    open_ = client.get(f"{TASKS}schema/").json()["paths"]["/api/tasks/"]["get"]
    assert {} not in closed["security"]
    assert {} in open_["security"]
