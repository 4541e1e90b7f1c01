"""The settings of the tests, with every face, and with the times that a project has."""

from tests.settings import *  # noqa: F403 - unchanged
from tests.settings import DATABASES

ROOT_URLCONF = "benchmarks.urls_of_reads"
ALLOWED_HOSTS = ["testserver"]
TASKWORKS = {
    # The workers in the table send no heartbeats, and are not to be silent all the same.
    "WORKER_TIMEOUT": 10 * 365 * 86_400,
    "API_AUTHENTICATION_CLASSES": ["tests.rest.signing.ByName"],
}
DATABASES["default"]["CONN_MAX_AGE"] = None
# Commands connect to it in processes of their own.
DATABASES["default"]["NAME"] = DATABASES["default"]["TEST"]["NAME"]
