"""How the process of a Celery worker ends if a task does not."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import billiard

from taskworks import instruments
from taskworks import real_time as time
from taskworks.backends.celery.messenger import messenger
from taskworks.logs import steady_logger
from taskworks.wakeup import sender

GLANCE_INTERVAL = 0.05  # seconds between two looks whether Celery's own tasks have ended
FAILURE = 1  # the exit code by which a supervisor sees that another worker is needed

logger = steady_logger(__name__)


def leave_after_celery(celery_worker: Any, of_ours: Callable[[], int]) -> None:
    """
    End this process once Celery's own tasks have ended, of which Celery loses none. ``of_ours``
    returns how many runs its pool still executes. Called in the main thread.
    """
    _wait_for_celery(celery_worker.pool, of_ours)
    try:
        if celery_worker.hub is not None:
            celery_worker.hub.close()  # which acknowledges what they have done
        celery_worker.on_stopped()
    except Exception:
        logger.exception("Unexpected error while Celery's connection was closed.")
    leave()


def _wait_for_celery(pool: Any, of_ours: Callable[[], int]) -> None:
    executor = getattr(pool, "executor", None)
    if executor is None:  # its pool is that of child processes, or the main thread, which is here
        pool.stop()
        return
    executor.shutdown(wait=False, cancel_futures=True)  # what has not begun, the broker keeps
    # By its threads: a task that is not active any more may not have been acknowledged yet.
    while sum(thread.is_alive() for thread in [*executor._threads]) > of_ours():
        time.sleep(GLANCE_INTERVAL)


def leave() -> None:
    """End this process at once, with the tasks that do not stop: their runs may be others' now."""
    for last in (instruments.flush, messenger.end, sender.flush, _end_children, _flush_output):
        with suppress(Exception):  # whatever that is, this process has to end
            last()
    os._exit(FAILURE)


def _end_children() -> None:
    """End Celery's own child processes, as that of ``-B``, which would go on without this one."""
    for child in billiard.active_children():
        child.terminate()


def _flush_output() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
