"""How the process of a Celery worker ends if a task does not."""

import os
import sys
from contextlib import suppress
from typing import Any

from celery.worker import state

from taskworks import instruments
from taskworks import real_time as time
from taskworks.logs import steady_logger

GLANCE_INTERVAL = 0.05  # seconds between two looks whether Celery's own tasks have ended

logger = steady_logger(__name__)


def leave_after_celery(celery_worker: Any, of_ours: int) -> None:
    """
    End this process once Celery's own tasks have ended, of which Celery loses none. ``of_ours`` are
    the runs that are still executed. Called in the main thread.
    """
    while len(state.active_requests) > of_ours:
        time.sleep(GLANCE_INTERVAL)
    try:
        if celery_worker.hub is not None:
            celery_worker.hub.close()  # which acknowledges what they have done
        celery_worker.on_stopped()
    except Exception:
        logger.exception("Unexpected error while Celery's connection was closed.")
    leave(celery_worker.exitcode or 0)


def leave(exit_code: int) -> None:
    """End this process at once, with the tasks that do not stop: their runs may be others' now."""
    instruments.flush()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(exit_code)
