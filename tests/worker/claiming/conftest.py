from collections.abc import Iterator
from typing import Any

import pytest

from taskworks import task_backends
from taskworks.worker import Options, Queues, Worker
from taskworks.worker.pools import Pools
from tests.connections import begin_elsewhere
from tests.worker.claiming.idleness import RARELY, StartWorker, idle


@pytest.fixture
def start_worker() -> Iterator[StartWorker]:
    started = []

    def start_worker(make_pools: Any = Pools, **options: Any) -> Worker:
        options = {"queues": Queues(), "interval": RARELY, **options}
        worker = Worker(task_backends["default"], Options(**options), make_pools=make_pools)
        started.append((worker, begin_elsewhere(worker.run)))
        return worker

    yield start_worker
    for worker, _ in started:
        worker.stop()
    for _, working in started:
        working.result(timeout=60)


@pytest.fixture
def idle_worker(start_worker: StartWorker) -> Worker:
    return idle(start_worker())
