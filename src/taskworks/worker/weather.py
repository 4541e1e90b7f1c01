"""A database that goes away is weather: wait, say so once a minute, and go on."""

import logging
import random
import time

logger = logging.getLogger(__name__)

SHORTEST, LONGEST = 0.1, 30.0  # seconds between two tries
REPORT_EVERY = 60.0  # seconds


class Weather:
    """How long to wait after a database's error, longer and longer, with jitter."""

    def __init__(self) -> None:
        self._failures = 0
        self._reported = float("-inf")

    def bad(self, error: Exception) -> float:
        """Note an error; the seconds to wait."""
        self._failures += 1
        if time.monotonic() - self._reported > REPORT_EVERY:
            self._reported = time.monotonic()
            logger.warning("The database does not answer, and the worker waits: %s", error)
        longest = min(LONGEST, SHORTEST * 2.0 ** min(self._failures, 10))
        return longest * random.uniform(0.5, 1)  # noqa: S311 - jitter, no secret

    def good(self) -> bool:
        """Note a success; whether it ended a storm."""
        was_bad, self._failures = self._failures > 0, 0
        if was_bad:
            self._reported = float("-inf")
            logger.warning("The database answers again.")
        return was_bad
