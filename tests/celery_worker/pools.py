"""The pools of Celery with which runs are executed."""

POOLS = ("prefork", "threads", "solo")
