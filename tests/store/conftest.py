from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from taskworks.models import TaskRun, Worker
from taskworks.store import Store
from taskworks.store import store as store_of
from tests.new_runs import new_runs, stored

Enqueue = Callable[..., TaskRun]


@pytest.fixture(autouse=True)
def _database(transactional_db: None) -> None:
    """Every test here has committed rows, which other connections see."""


@pytest.fixture
def store() -> Store:
    return store_of()


@pytest.fixture
def new_worker(store: Store) -> Callable[[], UUID]:
    def new_worker() -> UUID:
        row = Worker(id=uuid4(), label="of a test", hostname="here", pid=1, slots={"thread": 1})
        store.register(row)
        return row.id

    return new_worker


@pytest.fixture
def worker(new_worker: Callable[[], UUID]) -> UUID:
    return new_worker()


@pytest.fixture
def enqueue(store: Store) -> Enqueue:
    def enqueue(**options: Any) -> TaskRun:
        new = new_runs(**options)
        store.enqueue(new)
        return stored(new, store)

    return enqueue
