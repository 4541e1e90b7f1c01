INSTALLED_APPS = [
    # ...
    "django_tasks_db",  # until everything is moved
    "taskworks",
]
TASKS = {
    "default": {
        "BACKEND": "taskworks.backends.database.DatabaseBackend",
        "QUEUES": ["default", "mail"],
    },
}
