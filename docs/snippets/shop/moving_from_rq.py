INSTALLED_APPS = [
    # ...
    "taskworks",
]
TASKS = {
    "default": {
        "BACKEND": "taskworks.backends.database.DatabaseBackend",
        "QUEUES": ["default", "mail"],
        "OPTIONS": {"TASK_DEFAULTS": {"timeout": 360}},
    },
}
RQ_QUEUES = {  # until everything is moved
    "default": {"URL": "redis://localhost:6379/0", "DEFAULT_TIMEOUT": 360},
    "mail": {"URL": "redis://localhost:6379/0", "DEFAULT_TIMEOUT": 360},
}
