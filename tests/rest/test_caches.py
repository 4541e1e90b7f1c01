"""No cache keeps an answer: not Django's, a proxy's or a browser's."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.behavior import run_worker
from tests.rest import TASKS, address
from tests.rest.test_access import EVERYTHING, AddressOf

ADD = {"task": "add", "inputs": {"a": 1}}
SCHEMA = f"{TASKS}schema/"


@pytest.fixture(autouse=True)
def _site_wide_cache(settings: Any) -> None:
    settings.MIDDLEWARE = [
        "django.middleware.cache.UpdateCacheMiddleware",
        "django.middleware.cache.FetchFromCacheMiddleware",
    ]


def test_a_run_is_seen_as_it_is(client: APIClient, start: Any) -> None:
    run = start("add", a=1)
    assert client.get(address(run)).json()["status"] == "pending"
    assert client.get(TASKS).json()["results"][0]["status"] == "pending"
    run_worker()
    assert client.get(address(run)).json()["status"] == "succeeded"
    assert client.get(TASKS).json()["results"][0]["status"] == "succeeded"


def test_the_document_is_not_that_of_who_asked_before(client: APIClient, client_of: Any) -> None:
    assert client.get(SCHEMA).status_code == 200
    assert client_of(None).get(SCHEMA).status_code == 401


@pytest.mark.parametrize("name", ["ann", None])
@pytest.mark.parametrize(("method", "where"), EVERYTHING)
def test_each_answer_says_so(
    start: Any, client_of: Any, name: str | None, method: str, where: AddressOf
) -> None:
    run = start("add", a=1)
    answer = getattr(client_of(name), method)(where(run), ADD, format="json")
    is_document = where(run) == SCHEMA and name is not None
    assert "private" in answer["Cache-Control"]
    assert ("no-cache" if is_document else "no-store") in answer["Cache-Control"]


@pytest.mark.parametrize("where", [f"{TASKS}?page_size=0", f"{TASKS}nothing/", TASKS])
@pytest.mark.parametrize("method", ["get", "delete", "options", "head"])
def test_each_error_says_so(client: APIClient, method: str, where: str) -> None:
    assert "no-store" in getattr(client, method)(where)["Cache-Control"]


def test_a_browser_may_keep_the_document_and_ask_whether_it_still_holds(client: APIClient) -> None:
    kept = client.get(SCHEMA)
    again = client.get(SCHEMA, headers={"If-None-Match": kept["ETag"]})
    assert again.status_code == 304
    assert kept["Cache-Control"] == again["Cache-Control"] == "private, no-cache"
