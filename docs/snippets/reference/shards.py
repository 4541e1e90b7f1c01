DATABASES = {
    "default": {"ENGINE": "django.db.backends.postgresql", "NAME": "shop"},
    "exports": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "exports",
        "HOST": "db2.internal",
        "OPTIONS": {"connect_timeout": 3},
    },
}
TASKS = {
    "default": {"BACKEND": "taskworks.backends.database.DatabaseBackend"},
    "exports": {
        "BACKEND": "taskworks.backends.database.DatabaseBackend",
        "QUEUES": ["exports"],
        "OPTIONS": {"DATABASE": "exports"},
    },
}
