"""The settings of the tests: the environment's TASKWORKS_TEST_DATABASE names the database."""

import os
from pathlib import Path

from tests.databases import database

DATABASE = os.environ.get("TASKWORKS_TEST_DATABASE", "sqlite")

SECRET_KEY = "of the tests"
DEBUG = False
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
INSTALLED_APPS = ["django.contrib.contenttypes", "taskworks", "tests"]
DATABASES = {"default": database(DATABASE, Path(os.environ.get("TASKWORKS_TEST_FILES", "/tmp")))}
TASKS = {
    "default": {
        "BACKEND": "taskworks.backends.database.DatabaseBackend",
        "QUEUES": ["default", "mail", "imports"],
    },
    "other": {"BACKEND": "taskworks.backends.database.DatabaseBackend", "QUEUES": []},
    "immediate": {"BACKEND": "taskworks.backends.immediate.ImmediateBackend", "QUEUES": []},
    "dummy": {"BACKEND": "taskworks.backends.dummy.DummyBackend", "QUEUES": []},
}
# A worker of the tests is given up after a second, not after thirty.
TASKWORKS = {"HEARTBEAT_INTERVAL": 0.2, "WORKER_TIMEOUT": 1.0, "SHUTDOWN_TIMEOUT": 10}
