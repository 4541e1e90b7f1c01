"""The API wherever a project includes it: in a namespace, twice, below a capture."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.core import checks
from django.http import HttpRequest
from django.template import Context, Template
from django.urls import include, path, re_path, resolve
from rest_framework.test import APIClient

from taskworks.endpoints import status_url
from taskworks.models import TaskRun
from taskworks.result import TaskResult
from tests.rest import offered

pytestmark = pytest.mark.any_database

API = "taskworks.rest.urls"
ADD = {"task": "add", "inputs": {"a": 1}}


def page(request: HttpRequest, **captured: Any) -> Any:
    raise NotImplementedError


def version(name: str) -> Any:
    """A version of a project's API, with a page of its own, in a namespace."""
    return path(f"{name}/", include(([path("orders/", page), path("", include(API))], name)))


ONCE = {
    "in its own namespace": ([path("api/", include(API))], "/api/"),
    "in a namespace of the project": ([path("api/", include(API, namespace="jobs"))], "/api/"),
    "as another app": ([path("api/", include((API, "jobs"), namespace="mine"))], "/api/"),
    "in another namespace": ([version("v1")], "/v1/"),
    "in no namespace": (
        [path("", include(__import__(API, fromlist=["urlpatterns"]).urlpatterns))],
        "/",
    ),
    "below a pattern": ([re_path("^a.i/", include(API))], "/a.i/"),
    "below what is captured": ([path("<slug:tenant>/<int:n>/", include(API))], "/acme/7/"),
}
TWICE = [
    path("v1/orders/", page),
    path("v1/", include(API, namespace="v1")),
    path("v2/", include(API, namespace="v2")),
    version("v3"),
    version("v4"),
]
EACH = ["/v1/", "/v2/", "/v3/", "/v4/"]


@pytest.fixture(params=ONCE)
def place(request: Any, settings: Any) -> str:
    patterns, place = ONCE[request.param]
    settings.ROOT_URLCONF = tuple(patterns)
    return place


@pytest.fixture
def _twice(settings: Any) -> None:
    settings.ROOT_URLCONF = tuple(TWICE)


def asked_at(where: str) -> Any:
    """A request to this path."""
    request = HttpRequest()
    request.path = request.path_info = where
    request.META |= {"SERVER_NAME": "testserver", "SERVER_PORT": "80"}
    request.resolver_match = resolve(where)
    return request


def a_result() -> TaskResult[..., Any]:
    return offered.plain.enqueue("x")  # type: ignore[return-value]


def client_tag(request: Any) -> str:
    tag = Template("{% load taskworks %}{% taskworks_client %}")
    return tag.render(Context({"request": request}))


def test_every_address_answers(client: APIClient, place: str) -> None:
    started = client.post(f"{place}tasks/", ADD, format="json")
    assert started.status_code == 201, started.content
    run = f"{place}tasks/{started.json()['id']}/"
    assert started["Location"] == f"http://testserver{run}"
    for where in (run, f"{place}tasks/", f"{place}tasks/types/"):
        assert client.get(where).status_code == 200
    assert client.post(f"{run}cancel/").status_code == 200
    assert client.post(f"{run}retry/").status_code == 200


def test_the_document_has_its_addresses(client: APIClient, place: str) -> None:
    document = client.get(f"{place}tasks/schema/").json()
    assert f"{place}tasks/" in document["paths"]
    assert f"{place}tasks/{{id}}/" in document["paths"]


def test_it_is_checked(configured: Any, place: str) -> None:
    configured(API_PERMISSION_CLASSES=["tests.no.such.Permission"])
    assert "taskworks.E040" in [message.id for message in checks.run_checks()]


def test_pages_and_endpoints_find_it(place: str) -> None:
    here = asked_at(f"{place}tasks/")  # which captures the same
    result = a_result()
    assert status_url(result, here) == f"http://testserver{place}tasks/{result.id}/"
    assert f'"baseURL": "{place}tasks/"' in client_tag(here)


@pytest.mark.usefixtures("_twice")
@pytest.mark.parametrize("place", EACH)
def test_each_inclusion_answers_with_its_own_addresses(client: APIClient, place: str) -> None:
    started = client.post(f"{place}tasks/", ADD, format="json")
    assert started["Location"] == f"http://testserver{place}tasks/{started.json()['id']}/"
    assert f"{place}tasks/" in client.get(f"{place}tasks/schema/").json()["paths"]


@pytest.mark.usefixtures("_twice")
@pytest.mark.parametrize("where", ["/v1/orders/", "/v3/orders/", "/v4/orders/"])
def test_a_page_finds_the_nearest(where: str) -> None:
    place = where.removesuffix("orders/")
    result = a_result()
    assert status_url(result, asked_at(where)) == f"http://testserver{place}tasks/{result.id}/"
    assert f'"baseURL": "{place}tasks/"' in client_tag(asked_at(where))


@pytest.mark.usefixtures("_twice")
def test_without_a_request_it_is_the_first() -> None:
    assert status_url(a_result()) == f"/v1/tasks/{TaskRun.objects.get().id}/"
    assert '"baseURL": "/v1/tasks/"' in client_tag(SimpleNamespace())


def test_one_in_the_usual_namespace_comes_before_others(settings: Any) -> None:
    both = [path("old/", include(API, namespace="old")), path("new/", include(API))]
    settings.ROOT_URLCONF = tuple(both)
    assert '"baseURL": "/new/tasks/"' in client_tag(None)
