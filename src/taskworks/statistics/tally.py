"""What became of runs in a period, in memory."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from taskworks.models.statistic import COUNTS, Statistic
from taskworks.statistics.histogram import Histogram

FINISHED = ("successful", "failed", "cancelled")
COLUMNS = (*COUNTS, "wait_sum", "run_sum", "run_max", "waits", "runs")
MOST, MOST_SECONDS = 2**63 - 1, 1e300  # that every database stores


class Tally:
    """The columns of a ``Statistic`` that are added up; ``counts`` are in the order of COUNTS."""

    __slots__ = ("counts", "run_max", "run_sum", "runs", "wait_sum", "waits")

    def __init__(self) -> None:
        self.counts = [0] * len(COUNTS)
        self.wait_sum = self.run_sum = 0.0  # seconds
        self.waits, self.runs = Histogram(), Histogram()
        self.run_max: float | None = None  # None if none has run

    @classmethod
    def of(cls, row: Statistic) -> "Tally":
        """Return what a row says."""
        return cls.of_columns([getattr(row, name) for name in COLUMNS])

    @classmethod
    def of_columns(cls, values: Sequence[Any]) -> "Tally":
        """Return the same, given the values of the row's COLUMNS."""
        tally = cls.__new__(cls)
        *tally.counts, tally.wait_sum, tally.run_sum, tally.run_max, waits, runs = values
        tally.waits, tally.runs = Histogram.parse(waits), Histogram.parse(runs)
        return tally

    def __getitem__(self, name: str) -> int:
        """Return one of the counts."""
        return self.counts[COUNTS.index(name)]

    @property
    def finished(self) -> int:
        """How many runs have finished."""
        return sum(self[name] for name in FINISHED)

    @property
    def failure_share(self) -> float | None:
        """The share of failed runs in those that succeeded or failed; None without any."""
        ended = self["successful"] + self["failed"]
        return self["failed"] / ended if ended else None

    def wait_quantile(self, share: float) -> float | None:
        """The seconds that this share of the attempts did not wait longer; None without any."""
        return self.waits.quantile(share)

    def run_quantile(self, share: float) -> float | None:
        """The seconds that this share of the attempts did not take longer; None without any."""
        return self.runs.quantile(share, self.run_max)

    def add(self, other: "Tally") -> None:
        """Count what another one has as well."""
        self.counts = [one + more for one, more in zip(self.counts, other.counts, strict=True)]
        self.wait_sum += other.wait_sum
        self.run_sum += other.run_sum
        self.waits.merge(other.waits)
        self.runs.merge(other.runs)
        largest = [one for one in (self.run_max, other.run_max) if one is not None]
        self.run_max = max(largest, default=None)

    def row(self, row_id: UUID, **period: Any) -> Statistic:
        """
        Return a row that says the same of a period. What somebody else has written may add up to
        more than a column has room for.
        """
        return Statistic(
            id=row_id,
            **period,
            **{name: min(n, MOST) for name, n in zip(COUNTS, self.counts, strict=True)},
            wait_sum=min(self.wait_sum, MOST_SECONDS),
            run_sum=min(self.run_sum, MOST_SECONDS),
            run_max=self.run_max,
            waits=str(self.waits),
            runs=str(self.runs),
        )
