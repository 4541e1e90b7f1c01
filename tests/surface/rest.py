"""The REST API: addresses, what is sent and answered, and the OpenAPI document."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from uuid import UUID

from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import override_settings
from rest_framework.test import APIClient

from taskworks.models import TaskRun, UniqueKey
from taskworks.rest import urls
from tests.behavior import run_worker
from tests.rest import TASKS, address, offered
from tests.rest.browsers import browsing
from tests.surface import inside
from tests.surface.record import common_shape, shape

OFFERED = (offered.Add, offered.Tells, offered.Fails, offered.Scarce)
SETTINGS = {
    "ROOT_URLCONF": "tests.rest.urls",
    "TASKWORKS": {
        "API_TASKS": [f"{one.__module__}.{one.__name__}" for one in OFFERED],
        "API_AUTHENTICATION_CLASSES": ["tests.rest.signing.ByName"],
    },
    "REST_FRAMEWORK": {"DEFAULT_THROTTLE_RATES": {"scarce": "1/day"}},
}
NOBODY = UUID(int=7)
ADD = {"task": "add", "inputs": {"a": 1}}
HEADERS = {"ETag", "Location", "Retry-After", "Taskworks-Events"}


def observed() -> dict[str, Any]:
    """Return all that a client of the API may rely on."""
    with _api() as client:
        return {
            "namespace": urls.app_name,
            "addresses": {one.name: str(one.pattern) for one in urls.urlpatterns},
            "answers": _answers(client),
            "refusals": _refusals(client),
            "keys": _stored_key(client),
            "events": _events(client),
            "document": _document(client),
        }


@contextmanager
def _api() -> Iterator[APIClient]:
    """Yield the client of a user who may start these tasks alone."""
    client = APIClient()
    client.credentials(HTTP_X_USER=User.objects.create_user("ann", pk=7).username)
    cache.clear()
    with (
        override_settings(**SETTINGS),
        patch.object(inside.registry, "_decorated", {}),
    ):
        try:
            yield client
        finally:
            inside.hub.stop()


def _started(client: APIClient, name: str, **inputs: Any) -> Any:
    return client.post(TASKS, {"task": name, "inputs": inputs}, format="json")


def _answers(client: APIClient) -> dict[str, Any]:
    new = _started(client, "add", a=1)
    ids = [new.json()["id"], *(_started(client, name).json()["id"] for name in ("tells", "fails"))]
    run_worker()
    runs = [client.get(address(one)).json() for one in ids]
    return {
        "a run": common_shape(map(shape, [new.json(), *runs])),
        "a page": {**shape(client.get(f"{TASKS}?page_size=1").json()), "results": ["a run"]},
        "types": shape(client.get(f"{TASKS}types/").json()["results"][:1]),
        "headers of a start": sorted({*new.headers} & HEADERS),
        "statuses": sorted({one["status"] for one in runs}),
    }


def _refusals(client: APIClient) -> dict[str, Any]:
    """Return status and shape of the answer to each kind of bad request."""
    run = _started(client, "add", a=1).json()
    client.post(address(run, "cancel"))
    _started(client, "scarce")
    key = {"HTTP_IDEMPOTENCY_KEY": "k"}
    client.post(TASKS, ADD, format="json", **key)
    bad_filters = "mine=1&page_size=0&cursor=1&task=&status=1&queue=&created_after=1"
    refused = {
        "no task": client.post(TASKS, {}, format="json"),
        "no object": client.post(TASKS, [], format="json"),
        "bad inputs": _started(client, "add", a="one"),
        "bad key": client.post(TASKS, ADD, format="json", HTTP_IDEMPOTENCY_KEY="k k"),
        "key used otherwise": client.post(TASKS, {**ADD, "inputs": {"a": 2}}, format="json", **key),
        "bad filters": client.get(f"{TASKS}?{bad_filters}&created_before=1"),
        "no such filter": client.get(f"{TASKS}?stat=1"),
        "no such run": client.get(address(NOBODY)),
        "not applicable": client.post(address(run, "cancel")),
        "not JSON": client.post(TASKS, "a=1", content_type="text/plain"),
        "not streamed": client.get(address(run, "events")),
        "too often": _started(client, "scarce"),
        "nobody signed in": APIClient().get(TASKS),
    }
    return {why: [one.status_code, shape(one.json())] for why, one in refused.items()}


def _stored_key(client: APIClient) -> dict[str, Any]:
    """Return what is stored of a key: another digest would let a request start a second run."""
    client.post(TASKS, ADD, format="json", HTTP_IDEMPOTENCY_KEY="stored")
    row = UniqueKey.objects.latest("run")
    return {"key": str(row.key), "request": row.request}


def _events(client: APIClient) -> dict[str, Any]:
    """Return the shapes of the events that a browser is sent, by their names."""
    run = _started(client, "tells").json()
    row = TaskRun.objects.filter(id=run["id"])
    with browsing() as browser:
        reading = browser.open(address(run, "events"))
        said = {"at": "2026-11-20T12:30:00+00:00", "level": "info", "text": "half"}
        row.update(target=4, progress=2, messages=[said])
        reading.wait("message")
        row.delete()
        events = reading.wait_for_the_end()
        ended = _started(client, "add", a=1).json()
        client.post(address(ended, "cancel"))
        end = browser.open(address(ended, "events"))
        end.wait_for_the_end()
    names = dict.fromkeys(name for name, _ in events)
    told = {name: common_shape(shape(one) for of, one in events if of == name) for name in names}
    return {
        **told,
        "status": "a run",
        "id of the last": end.ids,
        "type": end.headers["content-type"],
    }


def _document(client: APIClient) -> dict[str, Any]:
    """Return paths and schemas of the OpenAPI document, without what only people read."""
    document = client.get(f"{TASKS}schema/").json()
    schemas = document["components"]["schemas"]
    return {
        "openapi": document["openapi"],
        "operations": {
            f"{method.upper()} {path}": _operation(one)
            for path, methods in document["paths"].items()
            for method, one in methods.items()
        },
        "schemas": {
            name: _undescribed(one) for name, one in schemas.items() if not _is_of_a_task(name)
        },
    }


def _operation(given: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": given["operationId"],
        "parameters": {
            f"{one['in']} {one['name']}": one["schema"] for one in given.get("parameters", [])
        },
        "body": _undescribed(given.get("requestBody", {})),
        "responses": _undescribed(given["responses"]),
    }


def _is_of_a_task(name: str) -> bool:
    return name.endswith(("Inputs", "Outputs"))


def _undescribed(value: Any) -> Any:
    """Return a part of the document without descriptions, and references as names."""
    match value:
        case {"$ref": str(path)}:
            return path.rpartition("/")[2]
        case dict():
            shown = {key: item for key, item in value.items() if not _is_text_of(key, item)}
            return {key: _undescribed(item) for key, item in shown.items()}
        case list():
            return [_undescribed(item) for item in value]
        case _:
            return value


def _is_text_of(key: str, item: Any) -> bool:
    return key == "description" and isinstance(item, str)
