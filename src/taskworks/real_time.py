"""
``time``, with a monotonic clock that no test stops. freezegun replaces that of ``time``, and a
worker, or a caller that waits for a run, would then wait forever.
"""

import time as standard
from functools import partial
from typing import Any

# The clock of time.monotonic(): on macOS, it does not count while the machine sleeps.
CLOCK = getattr(standard, "CLOCK_UPTIME_RAW", standard.CLOCK_MONOTONIC)

monotonic = partial(standard.clock_gettime, CLOCK)


def is_replaced() -> bool:
    """Return whether a test has replaced time.monotonic(), by which event loops have timers."""
    return abs(standard.monotonic() - monotonic()) > 1


def __getattr__(name: str) -> Any:
    # When it is called, because a test may replace time.sleep(), too.
    return getattr(standard, name)
