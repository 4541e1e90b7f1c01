"""A project's Celery app. The environment names its broker and its queue."""

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import celeryd_init

from tests.celery_worker.broker_queue import broker_queue

QUEUE = os.environ.get("TASKWORKS_TEST_CELERY_QUEUE", "taskworks-tests")

app = Celery("tests", broker=os.environ.get("TASKWORKS_TEST_BROKER", "memory://"))
app.conf.update(
    task_default_queue=QUEUE,
    task_queues=[broker_queue(QUEUE)],
    task_default_exchange=QUEUE,
    task_default_routing_key=QUEUE,
    broker_connection_retry_on_startup=True,
    broker_connection_timeout=2,
    broker_connection_max_retries=int(os.environ.get("TASKWORKS_TEST_MAX_RETRIES", "100")),
    worker_pool_start_method=os.environ.get("TASKWORKS_TEST_START_METHOD", "fork"),
    worker_proc_alive_timeout=600,  # or Celery kills a child that is slow to start, again and again
    worker_soft_shutdown_timeout=float(os.environ.get("TASKWORKS_TEST_SOFT_SHUTDOWN", "0")),
)


@celeryd_init.connect
def give_several(**of_signal: Any) -> None:
    """Have children be given several runs at once, as if none took any time."""
    if os.environ.get("TASKWORKS_TEST_GIVES_SEVERAL"):
        from taskworks.celery_worker import prefork
        from taskworks.worker.pools import pool

        prefork.A_MOMENT = pool.AHEAD_WITHIN = 3600.0


@app.task
def of_celery(go: str, done: str) -> None:
    """Until the file ``go`` exists; then make the other one."""
    while not Path(go).exists():
        time.sleep(0.01)
    Path(done).touch()
