from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections
from rest_framework.test import APIClient

from tests.behavior import run_worker
from tests.endpoints.models import Event, Order

Settings = Any


@pytest.fixture(autouse=True)
def _urls(settings: Settings, transactional_db: None) -> None:
    settings.ROOT_URLCONF = "tests.endpoints.urls"


@pytest.fixture
def client() -> APIClient:
    """A client that returns a 500 response for an exception, as a server does."""
    return APIClient(raise_request_exception=False)


@pytest.fixture
def atomic_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)


@pytest.fixture
def order() -> Order:
    return Order.objects.create(number="A7", note="please")


@pytest.fixture
def events() -> Callable[[], list[str]]:
    """Return a function that returns the names of all events, in order."""
    return lambda: list(Event.objects.order_by("id").values_list("name", flat=True))


@pytest.fixture
def worked(events: Callable[[], list[str]]) -> Callable[[], list[str]]:
    """Return a function that runs a worker, and returns the names of the new events."""

    def worked() -> list[str]:
        before = len(events())
        run_worker()
        return events()[before:]

    return worked
