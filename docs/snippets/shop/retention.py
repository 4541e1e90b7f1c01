from datetime import timedelta

TASKS = {
    "default": {
        "BACKEND": "taskworks.backends.database.DatabaseBackend",
        "QUEUES": ["default", "mail", "audit"],
        "OPTIONS": {
            "RETENTION": {
                "successful": timedelta(days=7),
                "failed": timedelta(days=60),
            },
            "QUEUE_RETENTION": {
                "mail": {"successful": timedelta(hours=12)},
                "audit": {"successful": None, "failed": None, "cancelled": None},
            },
        },
    },
}
