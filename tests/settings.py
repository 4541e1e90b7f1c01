"""The settings of the tests: the environment's TASKWORKS_TEST_DATABASE names the database."""

import os
from importlib.util import find_spec
from pathlib import Path

from tests import engine
from tests.databases import database

DATABASE = os.environ.get("TASKWORKS_TEST_DATABASE", "sqlite")

SECRET_KEY = "of the tests"
DEBUG = False
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
# Tables of others, without the steps by which they came to be.
MIGRATION_MODULES = {"django_tasks_database": None, "django_celery_beat": None}
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "taskworks",
    "tests",
    "tests.endpoints",
    "tests.schedules",
]
# From which runs are moved.
if find_spec("django_tasks_db"):
    INSTALLED_APPS.append("django_tasks_db")
# From whose tables schedules are imported.
if find_spec("django_celery_beat"):
    INSTALLED_APPS.append("django_celery_beat")
# What the admin needs; sessions have no table.
ROOT_URLCONF = "tests.faces.urls"
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    },
]
STATIC_URL = "static/"
FILES = Path(os.environ.get("TASKWORKS_TEST_FILES", "/tmp"))
DATABASES = {
    "default": database(DATABASE, FILES),
    # For the tests that have our tables on another alias.
    "queue": database(os.environ.get("TASKWORKS_TEST_QUEUE", DATABASE), FILES, "_queue"),
}
TASKS = {
    "default": {
        "BACKEND": engine.BACKEND,
        "QUEUES": ["default", "mail", "imports"],
    },
    "other": {"BACKEND": "taskworks.backends.database.DatabaseBackend", "QUEUES": []},
    "immediate": {"BACKEND": "taskworks.backends.immediate.ImmediateBackend", "QUEUES": []},
    "dummy": {"BACKEND": "taskworks.backends.dummy.DummyBackend", "QUEUES": []},
}
# A worker of the tests is given up after a second, not after thirty.
TASKWORKS = {"HEARTBEAT_INTERVAL": 0.2, "WORKER_TIMEOUT": 1.0, "SHUTDOWN_TIMEOUT": 10}
