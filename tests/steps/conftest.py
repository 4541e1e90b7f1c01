"""What the tests of steps begin with."""

from collections.abc import Iterator

import pytest

from taskworks import task_backends
from taskworks.worker import Options, Queues, Worker
from tests.connections import begin_elsewhere
from tests.steps import shelf


@pytest.fixture(autouse=True)
def _nothing_is_done() -> Iterator[None]:
    shelf.done.clear()
    shelf.broken.clear()
    yield
    shelf.done.clear()
    shelf.broken.clear()


@pytest.fixture
def worker(transactional_db: None) -> Iterator[None]:
    """A worker runs in this process."""
    worker = Worker(task_backends["default"], Options(queues=Queues(), interval=0.02))
    running = begin_elsewhere(worker.run)
    yield
    worker.stop()
    running.result(timeout=60)
