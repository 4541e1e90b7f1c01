"""The settings of the tests, with the tasks of ``benchmarks.rest``."""

from tests.settings import *  # noqa: F403 - unchanged
from tests.settings import DATABASES

ROOT_URLCONF = "benchmarks.urls_of_rest"
ALLOWED_HOSTS = ["testserver"]
TASKWORKS = {
    "API_TASKS": ["benchmarks.tasks_of_rest.Three", "benchmarks.tasks_of_rest.Steps"],
    "API_AUTHENTICATION_CLASSES": ["tests.rest.signing.ByName"],
}
DATABASES["default"]["CONN_MAX_AGE"] = None
