"""An app of the real Celery, with a schedule."""

from celery import Celery
from celery.schedules import crontab

app = Celery("tests", set_as_current=False)
app.conf.timezone = "Asia/Kolkata"
app.conf.beat_schedule = {
    "hourly": {"task": "tests.celery.tasks.add", "schedule": crontab(minute=0), "args": (1,)}
}
