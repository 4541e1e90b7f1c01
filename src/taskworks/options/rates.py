"""
Rates such as "100/m", and the arithmetic of buckets.

A bucket has room for ``burst`` starts, and fills at the rate. What is stored of it is the moment at
which it is full: each start moves that on by the time between two. So a bucket that nobody has used
for long enough has no row.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Any

SECOND = 1_000_000  # microseconds
UNITS = {"s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": 86_400 * SECOND}
MAX_COUNT = 1_000_000
MAX_PER_SECOND = 10_000
MAX_PERIOD = 366 * UNITS["d"]
MAX_BURST = 1_000_000
LONGEST_TO_FILL = timedelta(days=3660)
MAX_LENGTH = 32  # characters of a rate
BURST_OF = Fraction(1, 10)  # of a second: the starts of this time are the usual burst
# Seconds for which a worker lets starts gather, if no room is lost by that.
GATHER = 0.025

_TEXT = re.compile(r"([0-9]{1,12})/([0-9]{0,6})([smhd])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` starts in ``period`` microseconds on average, ``burst`` of them at once."""

    count: int
    period: int
    burst: int

    def time_for(self, number: int) -> timedelta:
        """Return how long it takes until there is room for this many more starts."""
        return timedelta(microseconds=-(-number * self.period // self.count))

    @property
    def time_to_fill(self) -> timedelta:
        """How long an empty bucket takes to be full."""
        return self.time_for(self.burst)

    def room(self, left: timedelta) -> int:
        """Return how many may start now, if the bucket is full after ``left``."""
        waiting = max(0, _microseconds(left)) * self.count
        return max(0, (self.burst * self.period - waiting) // self.period)

    def opens_in(self, left: timedelta) -> timedelta:
        """Return how long it takes from now until one may start, if it is full after ``left``."""
        all_but_one = timedelta(microseconds=(self.burst - 1) * self.period // self.count)
        return max(timedelta(), left - all_but_one)

    def look_in(self, left: timedelta) -> float:
        """
        Return the seconds until it is worth looking for one that may start: where many do, a few
        may gather until then, but not so many that the bucket could be full.
        """
        gather = min(GATHER, left.total_seconds() / 2)
        return max(self.opens_in(left).total_seconds(), gather)


def rate_of(text: Any, burst: Any) -> Rate | None:
    """Return the rate of a row that anybody may have written; None if it is none."""
    if problem_with(text) or (burst is not None and problem_with_burst(burst)):
        return None
    count, period = _read(text)
    rate = Rate(count, period, burst or _usual_burst(count, period))
    return rate if rate.time_to_fill <= LONGEST_TO_FILL else None


def problem_with(text: Any) -> str | None:
    """Return what is wrong with a rate, as the end of a sentence; None if nothing is."""
    if not isinstance(text, str) or not _TEXT.fullmatch(text):
        return (
            "must be a number of starts and a time, such as '100/m', '5/10s' or '1000/d', with the "
            f"units s, m, h and d, not {text!r:.60}."
        )
    count, period = _read(text)
    if not 1 <= count <= MAX_COUNT or not 0 < period <= MAX_PERIOD:
        return f"must be 1 to {MAX_COUNT} starts in at most 366 days, not {text!r}."
    if count * SECOND > period * MAX_PER_SECOND:
        return f"must be at most {MAX_PER_SECOND} starts a second, not {text!r}."
    return None


def problem_with_burst(burst: Any) -> str | None:
    """Return what is wrong with a burst, likewise."""
    if isinstance(burst, int) and not isinstance(burst, bool) and 1 <= burst <= MAX_BURST:
        return None
    return f"must be an integer from 1 to {MAX_BURST}, or None for the usual one, not {burst!r}."


def problem_with_both(text: str, burst: int) -> str | None:
    """Return what is wrong with a burst of this rate, likewise; each is valid on its own."""
    count, period = _read(text)
    if Rate(count, period, burst).time_to_fill <= LONGEST_TO_FILL:
        return None
    return f"must be fewer: at {text}, {burst} starts take more than ten years."


def _read(text: str) -> tuple[int, int]:
    """Return the starts, and the microseconds, of a rate."""
    count, number, unit = _TEXT.fullmatch(text).groups()  # type: ignore[union-attr]
    return int(count), int(number or 1) * UNITS[unit]


def _usual_burst(count: int, period: int) -> int:
    return max(1, int(BURST_OF * SECOND * count / period))


def _microseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)
