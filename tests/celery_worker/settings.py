"""The settings of the tests, with a default backend for Celery's workers."""

import os

from tests.settings import *  # noqa: F403
from tests.settings import TASKS
from tests.settings import TASKWORKS as USUAL

QUEUE = os.environ.get("TASKWORKS_TEST_CELERY_QUEUE", "taskworks-tests")
TASKWORKS = {
    **USUAL,
    "SHUTDOWN_TIMEOUT": float(os.environ.get("TASKWORKS_TEST_SHUTDOWN_TIMEOUT", "10")),
    "WORKER_TIMEOUT": float(os.environ.get("TASKWORKS_TEST_WORKER_TIMEOUT", "1")),
    "INTERRUPT_GRACE": float(os.environ.get("TASKWORKS_TEST_INTERRUPT_GRACE", "5")),
}

TASKS = {
    **TASKS,
    "default": {
        "BACKEND": "taskworks.backends.celery.CeleryBackend",
        "QUEUES": ["default", "mail", "imports"],
        "OPTIONS": {
            "CELERY_APP": "tests.celery_worker.app:app",
            "CELERY_QUEUES": {"default": QUEUE, "mail": f"{QUEUE}-mail"},
        },
    },
}
