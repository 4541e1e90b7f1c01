"""
A test kit for projects that use Taskworks: execute enqueued runs, assert what is enqueued, and move
the clock. ``plugin`` provides the same as fixtures for pytest.

In a process that imports anything from here, Python's clock decides on every database.
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskworks.testing.moving_clock import Clock, clock
    from taskworks.testing.running import run_tasks
    from taskworks.testing.waiting import assert_enqueued, assert_not_enqueued, enqueued

__all__ = ["Clock", "assert_enqueued", "assert_not_enqueued", "clock", "enqueued", "run_tasks"]

_MODULES = {
    "Clock": "moving_clock",
    "assert_enqueued": "waiting",
    "assert_not_enqueued": "waiting",
    "clock": "moving_clock",
    "enqueued": "waiting",
    "run_tasks": "running",
}


def __getattr__(name: str) -> Any:
    # Imported on first use, because pytest loads the plugin before Django is set up.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    use_python_s_clock()
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


@cache
def use_python_s_clock() -> None:
    """
    Let Python's clock decide in this process, once and for all: freezegun and time-machine freeze
    and move it, and a server's own clock would not notice.
    """
    from taskworks.database.clock import DatabaseClock

    DatabaseClock.is_python_s = True
