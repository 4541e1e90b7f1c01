import os
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from celery import Celery

from taskworks.backends.celery.messenger import messenger
from taskworks.database import messengers
from tests.tickets import celery_project
from tests.tickets.proxy import Proxy
from tests.tickets.queues import Queues

BROKERS = {
    "rabbitmq": os.environ.get("TASKWORKS_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672//"),
    "redis": os.environ.get("TASKWORKS_TEST_REDIS_BROKER", "redis://127.0.0.1:6379/12"),
}


@pytest.fixture(autouse=True)
def _no_tickets_of_others(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has threads and connections of its own."""
    monkeypatch.setattr(messengers, "in_use", ())
    yield
    messenger.end()
    messenger.begin_anew()


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest) -> str:
    """The address of each of them."""
    address = BROKERS[request.param]
    where = urlsplit(address)
    try:
        socket.create_connection((where.hostname, where.port), 5).close()
    except OSError:
        assert not os.environ.get("CI"), f"nothing answers at {address}"
        pytest.skip(f"nothing answers at {address}")
    return address


@pytest.fixture
def proxy(broker: str) -> Iterator[Proxy]:
    """A way to each of them."""
    where = urlsplit(broker)
    proxy = Proxy(where.hostname or "", where.port or 0)
    yield proxy
    proxy.end()


def through(proxy: Proxy, broker: str) -> str:
    """The address of the broker behind the proxy."""
    where = urlsplit(broker)
    return broker.replace(f"{where.hostname}:{where.port}", f"127.0.0.1:{proxy.port}")


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, broker: str) -> Iterator[Celery]:
    """The app of the project, with this broker."""
    app = new_app(broker)
    monkeypatch.setattr(celery_project, "app", app)
    yield app
    app.close()


def new_app(broker: str) -> Celery:
    app = Celery("tests-of-tickets", broker=broker, set_as_current=False)
    app.conf.task_default_queue = f"taskworks-{uuid4().hex[:12]}"
    return app


@pytest.fixture
def backend(settings: Any) -> Any:
    """The entry of TASKS with the alias "celery", in whose options a test may write."""
    entry = {
        "BACKEND": "taskworks.backends.celery.CeleryBackend",
        "QUEUES": [],
        "OPTIONS": {"CELERY_APP": "tests.tickets.celery_project:app"},
    }
    settings.TASKS = {**settings.TASKS, "celery": entry}
    return entry


@pytest.fixture
def queues(app: Celery, broker: str, backend: Any) -> Iterator[Queues]:
    """What is in the queues of the broker."""
    queues = Queues(app, broker)
    yield queues
    queues.end()
