"""Tasks of Celery's own, which its workers execute beside runs."""

from pathlib import Path

from celery import Celery

from tests.celery_worker.broker_queue import broker_queue
from tests.celery_worker.processes import CeleryWorker


def send_own(worker: CeleryWorker, folder: Path) -> None:
    """Have it execute a task that waits for the file ``go``, and then makes the file ``done``."""
    with Celery("sender", broker=worker.broker, set_as_current=False) as app:
        files = str(folder / "go"), str(folder / "done")
        app.send_task("tests.celery_worker.app.of_celery", files, queue=broker_queue(worker.queue))
