"""How long to wait after a failure to send tickets, and what is logged about it."""

from django.core.exceptions import ImproperlyConfigured

from taskworks import real_time as time
from taskworks.backends.celery.errors import said_by
from taskworks.database.outage import LOG_INTERVAL, GrowingPause
from taskworks.logs import steady_logger

SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds

logger = steady_logger(__name__)


class Weather:
    """How it goes with what has a name, such as the broker of a backend."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._pause = GrowingPause(SHORTEST_PAUSE, LONGEST_PAUSE)
        self._said = ""
        self._said_at = float("-inf")
        self._clears_at = float("-inf")

    @property
    def is_bad(self) -> bool:
        """True if the last try has failed."""
        return self._clears_at != float("-inf")

    @property
    def clears_in(self) -> float:
        """Seconds until the next try."""
        return max(0.0, self._clears_at - time.monotonic())

    def note_failure(self, error: Exception) -> None:
        """Note that a try has failed. It is logged once a minute, a wrong setting once."""
        now = time.monotonic()
        self._clears_at = now + self._pause.take()
        is_said = str(error) == self._said and isinstance(error, ImproperlyConfigured)
        if not is_said and now - self._said_at > LOG_INTERVAL:
            self._said, self._said_at = str(error), now
            logger.warning(
                "No tickets reach %s; Celery's workers look for runs by themselves: %s",
                self._name,
                said_by(error) if isinstance(error, ValueError) else error,
            )

    def note_success(self) -> None:
        """Note that a try has succeeded."""
        if not self.is_bad:
            return
        self._clears_at = float("-inf")
        self._pause.reset()
        if self._said:
            self._said, self._said_at = "", float("-inf")
            logger.warning("Tickets reach %s again.", self._name)
