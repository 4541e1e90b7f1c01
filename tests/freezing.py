"""Freeze a process, as a machine does that has no time for it."""

import os
import signal
import sqlite3
from contextlib import closing

from django.db import connection

from tests.alive import states_of_threads
from tests.waiting import wait_for


def freeze(pid: int) -> None:
    """Not with the only lock of SQLite, though, which would freeze everybody else as well."""
    wait_for(lambda: _is_frozen_alone(pid), f"process {pid} is frozen")


def _is_frozen_alone(pid: int) -> bool:
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: states_of_threads(pid) == {"T"}, f"all threads of {pid} have stopped")
    if connection.vendor != "sqlite" or others_can_write():
        return True
    os.kill(pid, signal.SIGCONT)
    return False


def others_can_write() -> bool:
    """On SQLite, whether nobody has the lock, or lets go of it in a moment."""
    name = connection.settings_dict["NAME"]
    with closing(sqlite3.connect(name, timeout=2, isolation_level=None)) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return False
    return True
