TASKS = {
    "default": {
        "BACKEND": "taskworks.backends.database.DatabaseBackend",
        "QUEUES": ["default", "mail"],
        "OPTIONS": {
            "TASK_DEFAULTS": {"timeout": 300, "max_attempts": 3},
            "QUEUE_DEFAULTS": {
                "mail": {
                    "timeout": 30,
                    "max_attempts": 10,
                    "retry_on": ["smtplib.SMTPException", "builtins.OSError"],
                },
            },
        },
    },
}
