"""What to do while a server is unreachable: wait, log it once a minute, and try again."""

import random

from taskworks import real_time as time
from taskworks.logs import steady_logger

SHORTEST_RETRY_PAUSE, LONGEST_RETRY_PAUSE = 0.2, 10.0  # seconds
LOG_INTERVAL = 60.0  # seconds between two lines about the same outage

logger = steady_logger(__name__)


class GrowingPause:
    """A pause that doubles each time it is taken, from ``shortest`` to ``longest`` seconds."""

    def __init__(self, shortest: float, longest: float) -> None:
        self._shortest, self._longest = shortest, longest
        self.reset()

    def reset(self) -> None:
        """Begin with the shortest again."""
        self._next = self._shortest

    def take(self) -> float:
        """Return the seconds to pause now; the next time it is twice as long."""
        seconds, self._next = self._next, min(2 * self._next, self._longest)
        return seconds


class Outage:
    """
    How long to wait after an error of a server, with jitter, and what is logged about it.
    ``activity`` names what fails, as in "firing schedules".
    """

    def __init__(
        self,
        activity: str = "claiming and recording runs",
        server: str = "the database",
        shortest: float = SHORTEST_RETRY_PAUSE,
        longest: float = LONGEST_RETRY_PAUSE,
    ) -> None:
        self._activity, self._server = activity, server
        self._pause = GrowingPause(shortest, longest)
        self._logged_at = float("-inf")
        self._is_logged = False
        self.is_on = False  # whether the last try has failed

    def note_error(self, error: object) -> float:
        """Note an error of the server; return the seconds to wait before the next try."""
        if time.monotonic() - self._logged_at > LOG_INTERVAL:
            self._logged_at, self._is_logged = time.monotonic(), True
            name = _capitalized(self._server.removeprefix("the "))
            logger.warning("%s error while %s; retrying: %s", name, self._activity, error)
        return self.next_pause()

    def next_pause(self) -> float:
        """Note a failed try without logging it; return the seconds to wait before the next."""
        self.is_on = True
        return self._pause.take() * random.uniform(0.5, 1)  # noqa: S311 - jitter, no secret

    def clear(self) -> None:
        """Note that a try has succeeded."""
        self.is_on = False
        self._pause.reset()
        if self._is_logged:
            self._is_logged = False
            logger.warning("%s answers again: %s.", _capitalized(self._server), self._activity)


def _capitalized(text: str) -> str:
    return text[0].upper() + text[1:]
