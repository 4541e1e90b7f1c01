"""The settings of a process that enqueues, and wakes workers through Redis."""

import os

from tests.settings import *  # noqa: F403

TASKWORKS = {"NOTIFY": False, "WAKEUP": os.environ["WAKEUP"]}
