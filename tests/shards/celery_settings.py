"""The settings of a Celery worker of a shard. No other database of its project can be reached."""

from tests.celery_worker.settings import QUEUE
from tests.shards.settings import *  # noqa: F403
from tests.shards.settings import DATABASES, INSTALLED_APPS, SHARD, TASKWORKS
from tests.shards.settings import TASKS as USUAL

INSTALLED_APPS = [*INSTALLED_APPS, "tests.shards"]  # whose tasks module declares a schedule
DATABASES["default"] |= {"NAME": "/nowhere/at/all", "HOST": "127.0.0.1", "PORT": "1"}
TASKS = {
    **USUAL,
    "bulk": {
        "BACKEND": "taskworks.backends.celery.CeleryBackend",
        "QUEUES": ["default"],
        "OPTIONS": {
            "DATABASE": SHARD,
            "CELERY_APP": "tests.celery_worker.app:app",
            "CELERY_QUEUES": {"default": QUEUE},
        },
    },
}
TASKWORKS = {**TASKWORKS, "LIMITS": {"narrow": {"total": 1}}}
