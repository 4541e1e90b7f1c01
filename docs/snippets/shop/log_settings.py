LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "run": {"()": "taskworks.correlation.RunFilter"},
    },
    "formatters": {"json": {"()": "shop.logs.JsonFormatter"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "filters": ["run"],
            "formatter": "json",
        },
    },
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        "shop": {"level": "INFO"},
        "taskworks.runs": {"level": "INFO"},
        # The standard's logger: on Django 5.2, and on Django 6.
        "taskworks.framework.backport": {"level": "ERROR"},
        "django.tasks": {"level": "ERROR", "handlers": ["console"], "propagate": False},
    },
}
