"""How far ahead a worker claims: more than it can start at once, while tasks are short."""

import math

HORIZON = 0.03  # seconds within which what is claimed ahead should start
MOST_AHEAD = 200  # runs
WEIGHT = 0.1  # of the latest attempt in the mean
STEP = 1.05  # times as much, or as little, with each attempt: so the median is approached
BRIEF = 0.0001  # seconds; nothing that waits for another process takes less


class ClaimAhead:
    """
    How long attempts take of late, and so how many more of them will start within the horizon.
    Nothing is claimed ahead before the first has ended, nor while they are long.
    """

    def __init__(self) -> None:
        self._mean = self._median = math.inf

    @property
    def is_brief(self) -> bool:
        """Whether most attempts take so little that they can hardly wait for anything."""
        return self._median < BRIEF

    def note(self, duration: float) -> None:
        """An attempt took so many seconds."""
        if self._mean == math.inf:
            self._mean = duration
        else:
            self._mean += WEIGHT * (duration - self._mean)
        if self._median == math.inf:
            self._median = duration
        else:
            self._median *= STEP if duration > self._median else 1 / STEP

    def slacken(self) -> None:
        """Attempts take longer than was thought; how long, the next that ends will tell."""
        self._mean = math.inf

    def ahead(self, slots: int) -> int:
        """How many runs to claim beyond those that so many slots can start at once."""
        return int(min(MOST_AHEAD, slots * HORIZON / max(self._mean, 1e-6)))
