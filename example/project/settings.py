import os
from pathlib import Path

import django

from project.databases import chosen_database

BASE_DIR = Path(__file__).resolve().parent.parent

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "taskworks",
    "sourcestats",
    "typedtasks",
    "webshop",
]

DATABASES = {"default": chosen_database(os.environ, BASE_DIR / "var")}

TASKS = {
    "default": {
        "BACKEND": "taskworks.backends.database.DatabaseBackend",
        "QUEUES": ["default", "mail", "imports", "stock"],
        "OPTIONS": {"QUEUE_OBJECTIVES": {"mail": {"start_within": 30}}},
    },
}

# The folder that surveys measure by default.
SURVEYED_SOURCE = os.environ.get("EXAMPLE_SOURCE") or str(Path(django.__file__).parent)

# On only for the web server of `manage.py serve`: in a worker the query log would use memory.
DEBUG = os.environ.get("EXAMPLE_DEBUG") == "1"
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
SECRET_KEY = "an example has nothing to hide"  # noqa: S105

ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"
STATIC_URL = "static/"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "typedtasks:tasks"
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
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

# The demo itself says how its worker gets on.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {"taskworks": {"level": "WARNING"}},
}
