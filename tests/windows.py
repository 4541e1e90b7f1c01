"""Whether a rate was kept."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from taskworks.options.rates import Rate


def excess(moments: Sequence[datetime], rate: Rate) -> float:
    """By how many claims the worst of all windows has more than it may; 0 if none has."""
    moments, worst = sorted(moments), 0.0
    for first, begin in enumerate(moments):
        for last in range(first, len(moments)):
            microseconds = (moments[last] - begin) / timedelta(microseconds=1)
            allowed = rate.burst + microseconds * rate.count / rate.period
            worst = max(worst, last - first + 1 - allowed)
    return worst
