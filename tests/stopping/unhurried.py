"""For worker processes that let what runs end for ten minutes: who ends sooner waits for none."""

from tests.settings import *  # noqa: F403

TASKWORKS = {"INTERRUPT_GRACE": 1, "SHUTDOWN_TIMEOUT": 600}
