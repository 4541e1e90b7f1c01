CELERY_BROKER_URL = "amqp://shop:secret@rabbit.example.com/shop"

TASKS = {
    "default": {
        "BACKEND": "taskworks.backends.celery.CeleryBackend",
        "QUEUES": ["default", "mail"],
        "OPTIONS": {
            "CELERY_APP": "shop.celery:app",
            "CELERY_QUEUES": {"default": "celery"},
        },
    },
}
