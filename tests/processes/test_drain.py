"""Four processes drain a full queue: each run is executed once, and each worker has a share."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from taskworks.models import TaskRun, Worker
from taskworks.store import store
from tests import tasks
from tests.processes.conftest import WorkerProcess
from tests.waiting import wait_for

RUNS = 20_000 if os.environ.get("CI") == "true" else 2_000
WORKERS = 4


@pytest.mark.timeout(600)
def test_each_run_is_executed_exactly_once_and_each_worker_takes_part(
    start_worker: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    workers = [start_worker("-v", "0", "--worker-id", f"w{n}") for n in range(WORKERS)]
    wait_for(lambda: Worker.objects.living().count() == WORKERS, "all workers are up")
    # They wait for work now; one commit gives it to all of them at once.
    store().enqueue(
        [
            TaskRun(
                backend="default",
                queue_name="default",
                task_path=tasks.note.module_path,
                args=[str(ledger), str(number)],
            )
            for number in range(RUNS)
        ]
    )
    wait_for(lambda: ledger.exists() and ledger.read_text().count("\n") >= RUNS, "all ran", 500)
    for worker in workers:
        worker.send(signal.SIGTERM)
    assert [worker.wait() for worker in workers] == [0] * WORKERS
    assert TaskRun.objects.successful().count() == RUNS

    assert sorted(map(int, ledger.read_text().split())) == list(range(RUNS))
    runs = TaskRun.objects.values_list("attempts", "worker_ids")
    assert {attempts for attempts, _ in runs} == {1}
    shares = Counter(label for _, [label] in runs)
    assert len(shares) == WORKERS
    assert min(shares.values()) >= RUNS * 0.05, shares
