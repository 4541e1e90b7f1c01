"""Whether the database's clock goes as this process's does, by a worker's own signs of life."""

import math
import time
from datetime import datetime, timedelta


class Pulse:
    """
    A server's clock that is set, a machine that was suspended, an hour that is skipped where times
    are stored without zones: each makes all others look silent, of whom none had time to speak.
    """

    def __init__(self) -> None:
        self._latest: tuple[datetime, float] | None = None
        self._even_since = -math.inf

    def note(self, heard: datetime, silence: timedelta) -> None:
        """
        A sign of life of one's own, just given, by the database's clock. If the two clocks have
        moved apart since the last one by as much as half of a ``silence``, one of them was moved.
        """
        now = time.monotonic()
        if self._latest:
            before, moment = self._latest
            if abs(heard - before - timedelta(seconds=now - moment)) > silence / 2:
                self._even_since = now
        self._latest = heard, now

    def is_even(self, silence: timedelta) -> bool:
        """Whether others have had that long to give a sign of life by the clock as it is."""
        return time.monotonic() - self._even_since >= silence.total_seconds()
