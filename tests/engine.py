"""
Which engine executes the runs in the tests of behavior: our worker, or a Celery worker with one of
Celery's pools. `python -m tests.celery_worker.behavior` sets TASKWORKS_TEST_CELERY_POOL.
"""

import os

CELERY_POOL = os.environ.get("TASKWORKS_TEST_CELERY_POOL")

BACKEND = (
    "taskworks.backends.celery.CeleryBackend"
    if CELERY_POOL
    else "taskworks.backends.database.DatabaseBackend"
)
