"""The settings of a process in which what tasks log is kept with their runs."""

from tests.settings import *  # noqa: F403
from tests.settings import TASKWORKS as OF_THE_TESTS

TASKWORKS = {**OF_THE_TESTS, "CAPTURE_LOGS": True}
