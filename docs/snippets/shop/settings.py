INSTALLED_APPS = [
    # ...
    "taskworks",
]
TASKS = {
    "default": {
        "BACKEND": "taskworks.backends.database.DatabaseBackend",
        "QUEUES": ["default", "mail"],
    },
}
