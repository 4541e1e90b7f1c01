"""Settings with the project's own times: a silent worker is given up after half a minute."""

from tests.settings import *  # noqa: F403

TASKWORKS = {}
