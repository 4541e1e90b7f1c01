"""
The worker of a ``CeleryBackend``: ours, in a thread of a Celery worker's main process. It claims
and writes, and Celery's pool is one more of its pools. Only such a process imports these modules.
"""

import sys
from typing import Any


def join_celery_workers() -> None:
    """
    See to it that each Celery worker of this process executes runs, if a backend is for its app.
    Called while apps become ready: by then a process that has Celery workers has imported Celery.
    """
    if "celery" in sys.modules:
        from celery.signals import celeryd_init

        celeryd_init.connect(_join, weak=False, dispatch_uid="taskworks")


def _join(instance: Any, **of_signal: Any) -> None:
    from taskworks.celery_worker.step import DeskStep

    instance.app.steps["worker"].add(DeskStep)
