"""An app whose module takes its time to be imported."""

import time

from tests.tickets import celery_project

is_being_imported = True
time.sleep(1)  # for a fork that comes meanwhile
app = celery_project.app
