"""For worker processes that are to lose patience soon."""

from tests.settings import *  # noqa: F403
from tests.settings import TASKWORKS as USUAL

TASKWORKS = {**USUAL, "INTERRUPT_GRACE": 1, "SHUTDOWN_TIMEOUT": 3}
