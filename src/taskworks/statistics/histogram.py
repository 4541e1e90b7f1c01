"""
A histogram of seconds whose buckets grow by a factor of 2^(1/4).

Those are the buckets of OpenTelemetry's exponential histograms at scale 2, and of Prometheus's
native histograms with schema 2; every fourth bound is a power of two. A quantile is at most 9 %
from the true one. Two histograms are merged by adding, without loss.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import chain
from typing import Self

PER_DOUBLING = 4
LOWEST, HIGHEST = -53, 80  # 0.1 ms and less to 12 days and more
LEAST, MOST = 2.0 ** (LOWEST / PER_DOUBLING), 2.0 ** (HIGHEST / PER_DOUBLING)  # seconds


class Histogram:
    """How many values are in each bucket. Bucket i is above 2^((i-1)/4) and up to 2^(i/4)."""

    __slots__ = ("counts",)

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self.counts: dict[int, int] = dict(counts or {})

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Self:
        """Return the histogram of these values."""
        histogram = cls()
        for value in seconds:
            histogram.add(value)
        return histogram

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the histogram that was written as this text, without what makes no sense in it."""
        histogram = cls()
        counts = histogram.counts
        for entry in text.split(",") if isinstance(text, str) else ():
            bucket, count = _parsed(entry)
            if count:
                counts[bucket] = counts.get(bucket, 0) + count
        return histogram

    @classmethod
    def parse_all(cls, texts: Iterable[str]) -> Self:
        """Return what the histograms that were written as these texts have together."""
        histogram = cls()
        counts = histogram.counts
        entries = Counter(chain.from_iterable(text.split(",") for text in texts))
        for entry, times in entries.items():
            bucket, count = _parsed(entry)
            if count:
                counts[bucket] = counts.get(bucket, 0) + count * times
        return histogram

    def __str__(self) -> str:
        return ",".join(f"{bucket}:{count}" for bucket, count in sorted(self.counts.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.counts == other.counts

    __hash__ = None  # type: ignore[assignment] # it changes

    @property
    def total(self) -> int:
        """How many values there are."""
        return sum(self.counts.values())

    def add(self, seconds: float) -> None:
        """Count a value; what is not above 0 is in the lowest bucket."""
        bucket = bucket_of(seconds)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1

    def merge(self, other: "Histogram") -> None:
        """Count the values of another one as well."""
        counts = self.counts
        for bucket, count in other.counts.items():
            counts[bucket] = counts.get(bucket, 0) + count

    def quantile(self, share: float, largest: float | None = None) -> float | None:
        """
        Return the seconds that this share of the values is not above; None without values. If the
        largest value is known, it is not more than that.
        """
        if not self.counts:
            return None
        told = self._quantile(share)
        return told if largest is None else min(told, largest)

    def _quantile(self, share: float) -> float:
        wanted, seen = share * self.total, 0
        for bucket, count in sorted(self.counts.items()):
            if seen + count >= wanted:
                part = max(0.0, (wanted - seen) / count)
                return bound(bucket - 1 + part)
            seen += count
        return bound(max(self.counts))

    def share_within(self, seconds: float) -> float | None:
        """Return the share of the values up to this many seconds; exact at a bucket's bound."""
        total = self.total
        if not total:
            return None
        if seconds <= 0:
            return 0.0
        place = PER_DOUBLING * math.log2(seconds)
        within = 0.0
        for bucket, count in self.counts.items():
            within += count * min(1.0, max(0.0, place - (bucket - 1)))
        return within / total


@lru_cache(maxsize=10_000)  # most are alike, and a chart reads ten thousands of them
def _parsed(entry: str) -> tuple[int, int]:
    """Return a bucket and how many values it has; none if somebody else has written nonsense."""
    try:
        bucket, count = map(int, entry.split(":"))
    except ValueError:
        return 0, 0
    return (bucket, count) if LOWEST <= bucket <= HIGHEST and count > 0 else (0, 0)


def bucket_of(seconds: float) -> int:
    """Return the bucket that a value is in."""
    if seconds <= LEAST:
        return LOWEST
    return min(HIGHEST, math.ceil(PER_DOUBLING * math.log2(min(seconds, MOST))))


def bound(bucket: float) -> float:
    """Return the seconds at which a bucket ends."""
    return math.exp2(bucket / PER_DOUBLING)
