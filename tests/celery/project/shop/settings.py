import os
from decimal import Decimal
from pathlib import Path

from celery.schedules import crontab

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "not a secret"
DEBUG = True
ALLOWED_HOSTS = ["*"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django_celery_beat",
    "django_celery_results",
    "orders",
    "mailing",
    "reports",
]

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

ROOT_URLCONF = "shop.urls"
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

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", BASE_DIR / "shop.sqlite3"),
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
STATIC_URL = "static/"
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
DEFAULT_FROM_EMAIL = "shop@example.com"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

FREE_SHIPPING_FROM = Decimal("50.00")
LOW_STOCK = 5

CELERY_BROKER_URL = os.environ.get("BROKER_URL", "amqp://localhost")
CELERY_RESULT_BACKEND = "django-db"
CELERY_TASK_TRACK_STARTED = True
CELERY_TIMEZONE = "Europe/Berlin"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_SCHEDULE = {
    "cancel abandoned orders": {
        "task": "orders.tasks.cancel_abandoned",
        "schedule": crontab(minute="*/10"),
        "kwargs": {"hours": 24},
    },
    "daily report": {
        "task": "reports.daily",
        "schedule": crontab(hour=6, minute=30, day_of_week="mon-sat"),
    },
    "newsletter": {
        "task": "mailing.tasks.send_newsletter",
        "schedule": crontab(hour=9, minute=0, day_of_month="1-7", day_of_week="mon"),
        "options": {"queue": "mail", "expires": 3600},
    },
    "watch stock": {
        "task": "orders.tasks.watch_stock",
        "schedule": 300.0,
    },
}
