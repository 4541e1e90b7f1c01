"""Settings with frequent signs of life: who is given up is noticed soon, and who is slow is not."""

from tests.settings import *  # noqa: F403

TASKWORKS = {"HEARTBEAT_INTERVAL": 0.2, "SHUTDOWN_TIMEOUT": 10}
