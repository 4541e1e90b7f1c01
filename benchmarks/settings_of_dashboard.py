"""The settings of the tests, with the dashboard, and with the times that a project has."""

from tests.settings import *  # noqa: F403 - unchanged
from tests.settings import DATABASES

ROOT_URLCONF = "tests.dashboard.urls"
ALLOWED_HOSTS = ["testserver"]
# The workers in the table send no heartbeats, and are not to be silent all the same.
TASKWORKS = {"WORKER_TIMEOUT": 86_400}
DATABASES["default"]["CONN_MAX_AGE"] = None
