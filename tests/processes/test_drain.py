"""Four processes drain a full queue: each run is executed once, and each worker takes part."""

import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import transaction

from taskworks.models import TaskRun, Worker
from taskworks.store import store
from tests import tasks
from tests.effort import EVERY_CASE
from tests.new_runs import new_runs
from tests.processes.conftest import WorkerProcess
from tests.waiting import wait_for

RUNS = 20_000 if EVERY_CASE else 5_000
WORKERS, THREADS = 4, 5
PATIENT = {"DJANGO_SETTINGS_MODULE": "tests.processes.patient"}


@pytest.mark.timeout(600)
def test_each_run_is_executed_exactly_once_and_each_worker_takes_part(
    start_worker: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    ledger, go = tmp_path / "ledger", tmp_path / "go"
    options = ["-v", "0", "--threads", str(THREADS)]
    workers = [start_worker(*options, "--worker-id", f"w{n}", **PATIENT) for n in range(WORKERS)]
    wait_for(lambda: Worker.objects.living().count() == WORKERS, "all workers are up")
    # They wait for work now; one commit gives it to all of them at once.
    with transaction.atomic():
        busy = [[str(go)]] * (WORKERS * THREADS)
        store().enqueue(
            new_runs(task_path=tasks.wait_for_file.module_path, arguments=busy, rank=-1)
        )
        notes = [[str(ledger), str(number)] for number in range(RUNS)]
        store().enqueue(new_runs(task_path=tasks.note.module_path, arguments=notes))
    # As many as there are places, of which none ends: so nobody has taken more than it can start.
    running = TaskRun.objects.running
    wait_for(lambda: running().count() == WORKERS * THREADS, "each is busy")
    shares = Counter(label for [label] in running().values_list("worker_ids", flat=True))
    assert shares == {f"w{n}": THREADS for n in range(WORKERS)}
    go.touch()
    wait_for(lambda: ledger.exists() and ledger.read_text().count("\n") >= RUNS, "all ran", 500)
    for worker in workers:
        worker.send(signal.SIGTERM)
    assert [worker.wait() for worker in workers] == [0] * WORKERS
    assert TaskRun.objects.successful().count() == WORKERS * THREADS + RUNS
    assert sorted(map(int, ledger.read_text().split())) == list(range(RUNS))
    assert {*TaskRun.objects.values_list("attempts", flat=True)} == {1}
