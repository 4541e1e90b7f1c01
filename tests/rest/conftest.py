from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from rest_framework.test import APIClient

from taskworks import task_backends
from taskworks.rest.events.hub import hub
from taskworks.typed import registry
from taskworks.worker import Options, Queues, Sizes, Worker
from tests.connections import begin_elsewhere
from tests.rest import offered

Settings = Any


@pytest.fixture(autouse=True)
def _api(
    settings: Settings, transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.setattr(registry, "_decorated", {})  # by other tests
    settings.ROOT_URLCONF = "tests.rest.urls"
    settings.TASKWORKS = {
        **settings.TASKWORKS,
        "API_TASKS": offered.PATHS,
        "API_AUTHENTICATION_CLASSES": [
            "tests.rest.signing.ByName",
            "rest_framework.authentication.SessionAuthentication",
        ],
    }
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": {"scarce": "2/day"}}
    cache.clear()
    yield
    hub.stop()


@pytest.fixture
def configured(settings: Settings) -> Callable[..., None]:
    """Give TASKWORKS other keys."""

    def configure(**keys: Any) -> None:
        settings.TASKWORKS = {**settings.TASKWORKS, **keys}

    return configure


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann")


@pytest.fixture
def staff() -> User:
    """Staff who may do all there is."""
    return User.objects.create_superuser("root")


@pytest.fixture
def client(ann: User) -> APIClient:
    """Ann's, which answers with 500 as a server does."""
    return signed_in("ann")


def signed_in(name: str | None) -> APIClient:
    client = APIClient(raise_request_exception=False)
    if name:
        client.credentials(HTTP_X_USER=name)
    return client


@pytest.fixture
def client_of() -> Callable[[str | None], APIClient]:
    """Anybody's, by name; nobody's for None."""
    return signed_in


@pytest.fixture
def start(client: APIClient) -> Callable[..., dict[str, Any]]:
    """Start a task as Ann; the JSON of its run."""

    def start(name: str, **inputs: Any) -> dict[str, Any]:
        response = client.post("/api/tasks/", {"task": name, "inputs": inputs}, format="json")
        assert response.status_code == 201, response.content
        return response.json()

    return start


@pytest.fixture
def worker(_api: None) -> Iterator[Worker]:
    """A worker in this process; it stops at the end of the test."""
    worker = Worker(
        task_backends["default"],
        Options(queues=Queues(), sizes=Sizes(threads=2), interval=0.05),
    )
    working = begin_elsewhere(worker.run)
    yield worker
    offered.orders.put(None)
    worker.stop()
    working.result(timeout=60)
    while not offered.orders.empty():
        offered.orders.get()
