"""When limits that are closed by a rate or a hold open again."""

import math

from taskworks import real_time as time
from taskworks.store.limiting import LimitedClaim, Line

SOON = 60.0  # seconds for which a batch waits
# A look that has given up, at so many closed lanes, goes on after a rest, this many times as long.
REST_FACTOR = 4
SHORTEST_REST = 0.02  # seconds
MAX_LOOKS = 1000  # in vain, one after another; then a batch has looked enough


class Openings:
    """The next opening of each line from which the last claim could not take all that it asked."""

    def __init__(self) -> None:
        # By time.monotonic(); the names of a line say which it is, also when its queues change.
        self._moments: dict[tuple[str, str], tuple[float, Line]] = {}
        self._looks_in_vain = 0

    def note(self, line: Line, claimed: LimitedClaim, took: float) -> None:
        """Note a claim, and the seconds that it took."""
        opens_in = claimed.opens_in
        if not claimed.gave_up or claimed.runs:
            self._looks_in_vain = 0
        if claimed.gave_up:
            self._looks_in_vain += 1
            opens_in = min(opens_in, max(SHORTEST_REST, REST_FACTOR * took))
        line_of = line.limit, line.executor
        self._moments.pop(line_of, None)
        if opens_in < math.inf:
            self._moments[line_of] = time.monotonic() + opens_in, line

    def clear(self) -> None:
        """Note that no run is ready."""
        self._moments.clear()

    @property
    def seconds(self) -> float:
        """Seconds until the next one, below 0 if it has come; infinite without one."""
        if not self._moments:  # as with most claims
            return math.inf
        return min(moment for moment, _ in self._moments.values()) - time.monotonic()

    @property
    def are_soon(self) -> bool:
        """True if a batch waits for the next one."""
        return self.seconds <= SOON and self._looks_in_vain <= MAX_LOOKS

    def take(self) -> list[Line]:
        """Return the lines that have opened since the last call."""
        now = time.monotonic()
        due = [key for key, (moment, _) in self._moments.items() if moment <= now]
        return [self._moments.pop(key)[1] for key in due]
