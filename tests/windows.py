"""Whether a rate was kept."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from taskworks.options.rates import Rate

MICROSECOND = timedelta(microseconds=1)


def excess(moments: Sequence[datetime], rate: Rate) -> float:
    """By how many claims the worst of all windows has more than it may; 0 if none has."""
    ordered, worst, least_before = sorted(moments), 0.0, 0.0
    for number, moment in enumerate(ordered):
        # What is claimed until then, beyond what the rate has allowed since the first.
        allowed = (moment - ordered[0]) / MICROSECOND * rate.count / rate.period
        least_before = min(least_before, number - allowed)
        worst = max(worst, number + 1 - allowed - least_before - rate.burst)
    return worst
