TASKS = {
    "default": {
        "BACKEND": "taskworks.backends.database.DatabaseBackend",
        "QUEUES": ["default", "mail", "reports"],
        "OPTIONS": {
            "QUEUE_OBJECTIVES": {
                "mail": {"start_within": 30, "share": 0.99},
                "reports": {"start_within": 3600},
            },
        },
    },
}
