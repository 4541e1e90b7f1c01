"""A database that goes away is weather: wait, say so once a minute, and go on."""

import random
import time

from taskworks.logs import steady_logger

logger = steady_logger(__name__)

SHORTEST, LONGEST = 0.1, 10.0  # seconds between two tries
REPORT_EVERY = 60.0  # seconds


class Outage:
    """How long to wait after a database's error, longer and longer, with jitter."""

    def __init__(
        self,
        worse: str = "The database does not answer, and the worker waits",
        better: str = "The database answers again.",
    ) -> None:
        self._worse, self._better = worse, better
        self._failures = 0
        self._reported_at = float("-inf")
        self._is_reported = False

    @property
    def is_on(self) -> bool:
        """Whether the last that was heard of the database was an error."""
        return self._failures > 0

    def note_error(self, error: Exception) -> float:
        """Note an error; the seconds to wait."""
        self._failures += 1
        if time.monotonic() - self._reported_at > REPORT_EVERY:
            self._reported_at, self._is_reported = time.monotonic(), True
            logger.warning("%s: %s", self._worse, error)
        longest = min(LONGEST, SHORTEST * 2.0 ** min(self._failures, 10))
        return longest * random.uniform(0.5, 1)  # noqa: S311 - jitter, no secret

    def clear(self) -> None:
        """Note that the database has answered."""
        self._failures = 0
        if self._is_reported:
            self._is_reported = False
            logger.warning(self._better)
