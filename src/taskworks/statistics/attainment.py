"""How often runs of a queue have begun in time, and how much of the objective that has used up."""

from datetime import timedelta
from typing import NamedTuple

from taskworks.options.objectives import Objective
from taskworks.statistics.reading import by_queue, series, waits_of
from taskworks.store import Store


class Attainment(NamedTuple):
    """What became of an objective in a period."""

    objective: Objective
    attempts: int
    share: float | None  # of the attempts that began in time; None without any

    @property
    def is_missed(self) -> bool:
        """Whether too few began in time."""
        return self.share is not None and self.share < self.objective.share

    @property
    def burn_rate(self) -> float | None:
        """
        How many times as many attempts began too late as the objective allows: at 1, what it allows
        is just used up. None without attempts, or if it allows none.
        """
        allowed = 1 - self.objective.share
        return None if self.share is None or not allowed else (1 - self.share) / allowed


def attainment(
    store: Store, objective: Objective, duration: timedelta, *, backend: str, queue_name: str
) -> Attainment:
    """
    Return how often attempts of a queue have begun in time in the latest ``duration``. Exact if
    ``start_within`` is a bound of the histograms' buckets. Raise what ``reading.series`` does.
    """
    points = series(store, duration, by=by_queue, backend=backend, queue_name=queue_name)
    waits = waits_of(points)
    share = waits.share_within(objective.start_within.total_seconds())
    return Attainment(objective, waits.total, share)
