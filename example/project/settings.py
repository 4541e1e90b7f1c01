import os
from pathlib import Path

import django

from project.databases import chosen_database

BASE_DIR = Path(__file__).resolve().parent.parent

INSTALLED_APPS = [
    "taskworks",
    "sourcestats",
]

DATABASES = {"default": chosen_database(os.environ, BASE_DIR / "var")}

TASKS = {
    "default": {
        "BACKEND": "taskworks.backends.database.DatabaseBackend",
        "QUEUES": ["default"],
    },
}

# The folder that a survey measures unless it is told another one.
SURVEYED_SOURCE = os.environ.get("EXAMPLE_SOURCE") or str(Path(django.__file__).parent)

# The web server of `manage.py serve` turns it on; the worker has no use for its query log.
DEBUG = os.environ.get("EXAMPLE_DEBUG") == "1"
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
SECRET_KEY = "an example has nothing to hide"  # noqa: S105

ROOT_URLCONF = "project.urls"
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    },
]

USE_TZ = True
TIME_ZONE = "UTC"
