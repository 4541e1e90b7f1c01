"""Where a test puts the Celery app of its project."""

from celery import Celery

app = Celery("tests-of-tickets", broker="memory://", set_as_current=False)
