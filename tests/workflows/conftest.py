from collections.abc import Callable, Iterator

import pytest

from taskworks.store import Store
from taskworks.store import store as store_of
from taskworks.testing.running import run_tasks
from tests.workflows import tasks

Work = Callable[[], list[str]]


@pytest.fixture(autouse=True)
def _database(transactional_db: None) -> None:
    """Every test here has committed rows, which other connections see."""


@pytest.fixture(autouse=True)
def _nothing_executed() -> Iterator[None]:
    yield
    tasks.executed.clear()
    tasks.failing.clear()


@pytest.fixture
def store() -> Store:
    return store_of()


@pytest.fixture
def work() -> Work:
    """Execute what is ready, until nothing is; return the labels of the attempts."""

    def work() -> list[str]:
        tasks.executed.clear()
        run_tasks(raise_failures=False)
        return [*tasks.executed]

    return work
