"""Settings under which a task that does not listen is given up soon, and a silent worker late."""

from tests.settings import *  # noqa: F403

TASKWORKS = {"INTERRUPT_GRACE": 1, "SHUTDOWN_TIMEOUT": 3}
