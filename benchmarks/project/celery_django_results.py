"""The no-op as a Celery task whose results are in Django's database."""

import os

from benchmarks.marks import Marker
from benchmarks.project.calm_celery import new_app, place
from benchmarks.systems.django_system import SETTINGS

os.environ["DJANGO_SETTINGS_MODULE"] = SETTINGS
mark = Marker(place.marks)
app = new_app(backend="django-db")
# By default Celery closes the connection after each task, and does a third of what is measured.
app.conf["CELERY_DB_REUSE_MAX"] = 1_000_000


@app.task
def noop(number: int, word: str) -> int:
    mark(number)
    return number
