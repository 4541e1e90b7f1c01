from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.test import TransactionTestCase
from kombu import Connection

from tests.celery_worker.brokers import OwnRedis, own_redis, rabbitmq
from tests.celery_worker.pools import POOLS
from tests.celery_worker.processes import CeleryWorker, StartCelery
from tests.on_request import on_request


@pytest.fixture(scope="session")
def redis_server() -> Iterator[OwnRedis]:
    with own_redis() as server:
        yield server


@pytest.fixture(params=["redis", pytest.param("rabbitmq", marks=on_request)])
def broker(request: pytest.FixtureRequest) -> str:
    """The address of each of them."""
    if request.param == "rabbitmq":
        return rabbitmq()
    return request.getfixturevalue("redis_server").url


@pytest.fixture(params=POOLS)
def pool(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def message() -> Iterator[Any]:
    """One that a broker waits to be acknowledged."""
    with Connection("memory://") as connection, connection.SimpleQueue(uuid4().hex) as queue:
        queue.put({})
        yield queue.get(timeout=60)


@pytest.fixture
def start_celery(transactional_db: None) -> Iterator[StartCelery]:
    workers: list[CeleryWorker] = []

    def start_celery(*arguments: Any, **options: Any) -> CeleryWorker:
        workers.append(CeleryWorker(*arguments, **options))
        return workers[-1]

    yield start_celery
    for worker in workers:
        worker.end()


@pytest.fixture(scope="module")
def lasting_database(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """For tests that share a worker: what they write stays until the last of them has ended."""
    with django_db_blocker.unblock():
        yield
        TransactionTestCase._fixture_teardown(TransactionTestCase())
        connections.close_all()
