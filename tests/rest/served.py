"""The settings of a server of the API that is a process of its own; see ``test_shutdown``."""

from tests.settings import *  # noqa: F403
from tests.settings import TASKWORKS as OF_THE_TESTS

ROOT_URLCONF = "tests.rest.urls"
TASKWORKS = {**OF_THE_TESTS, "API_AUTHENTICATION_CLASSES": ["tests.rest.signing.ByName"]}
