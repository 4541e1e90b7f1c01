TASKS = {
    "default": {
        "BACKEND": "taskworks.backends.database.DatabaseBackend",
        "QUEUES": ["default", "mail"],
    },
    "at_once": {
        "BACKEND": "taskworks.backends.immediate.ImmediateBackend",
        "QUEUES": [],
    },
}
