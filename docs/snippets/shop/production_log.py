LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"},
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "line"},
        "mail_admins": {"class": "django.utils.log.AdminEmailHandler", "level": "ERROR"},
    },
    "loggers": {
        "taskworks": {"level": "INFO", "handlers": ["console"]},
        "taskworks.runs": {"level": "WARNING"},  # INFO: a line for every run
        # The standard's logger, which has the failures: on Django 5.2, and on Django 6.
        "taskworks.framework.backport": {"level": "ERROR", "handlers": ["mail_admins"]},
        "django.tasks": {
            "level": "ERROR",
            "handlers": ["console", "mail_admins"],
            "propagate": False,
        },
    },
}
