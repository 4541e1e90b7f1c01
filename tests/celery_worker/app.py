"""A project's Celery app. The environment names its broker and its queue."""

import os
import time
from pathlib import Path

from celery import Celery
from kombu import Exchange, Queue

QUEUE = os.environ.get("TASKWORKS_TEST_CELERY_QUEUE", "taskworks-tests")

app = Celery("tests", broker=os.environ.get("TASKWORKS_TEST_BROKER", "memory://"))
app.conf.update(
    task_default_queue=QUEUE,
    # What a test leaves behind at the broker goes by itself.
    task_queues=[Queue(QUEUE, Exchange(QUEUE, auto_delete=True), routing_key=QUEUE, expires=600.0)],
    task_default_exchange=QUEUE,
    task_default_routing_key=QUEUE,
    broker_connection_retry_on_startup=True,
    broker_connection_timeout=2,
    worker_soft_shutdown_timeout=float(os.environ.get("TASKWORKS_TEST_SOFT_SHUTDOWN", "0")),
)


@app.task
def of_celery(go: str, done: str) -> None:
    """Until the file ``go`` exists; then make the other one."""
    while not Path(go).exists():
        time.sleep(0.01)
    Path(done).touch()
