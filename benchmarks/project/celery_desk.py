"""The Celery app whose workers execute runs of Taskworks."""

import os

from benchmarks.project.calm_celery import new_app
from benchmarks.systems.django_system import SETTINGS

os.environ["DJANGO_SETTINGS_MODULE"] = SETTINGS
app = new_app()
