"""What two sides cost in alternating pairs, and whether a bar is kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb
from statistics import median

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of a run, in microseconds: by the clock, and of processors in the server and in workers."""

    wall: float
    backend: float
    workers: float = 0.0

    def __str__(self) -> str:
        return f"{self.wall:7.0f} {self.backend:7.0f} {self.workers:7.0f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What a run has cost on each side at nearly the same time."""

    usual: Cost
    measured: Cost

    def ratio(self, of: str) -> float:
        """Return how much of the usual rate is left: 1 if the measured side costs the same."""
        measured = getattr(self.measured, of)
        return getattr(self.usual, of) / measured if measured else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """The median of some ratios, and the bounds of the median of all that might be measured."""

    low: float
    middle: float
    high: float

    def __str__(self) -> str:
        return f"{self.middle:.3f} ({self.low:.3f} to {self.high:.3f})"


def in_pairs(usual: Callable[[], Cost], measured: Callable[[], Cost], number: int) -> list[Pair]:
    """Measure both sides so often, each first in every second pair; print each pair."""
    pairs = []
    print("pair: microseconds a run by the clock, of the server, of workers | the measured side")
    for index in range(number):
        if index % 2:
            second = measured()
            first = usual()
        else:
            first = usual()
            second = measured()
        pair = Pair(usual=first, measured=second)
        ratios = ", ".join(f"{name} {pair.ratio(name):.3f}" for name in ("wall", "backend"))
        print(f"{index + 1:4}: {first} | {second} | {ratios}", flush=True)
        pairs.append(pair)
    return pairs


def interval(ratios: Sequence[float]) -> Interval:
    """
    Return the median, and the interval between two of the ratios that holds the true median with a
    probability of 95 % at least, however the ratios are distributed.
    """
    ordered = sorted(ratios)
    left_out = _left_out(len(ordered))
    return Interval(low=ordered[left_out], middle=median(ordered), high=ordered[-1 - left_out])


def _left_out(number: int) -> int:
    """Return how many at each end are not needed: as in throws of a coin, one for each ratio."""
    tail, left_out = 0.0, 0
    while left_out < number // 2:
        tail += comb(number, left_out) / 2**number
        if tail > (1 - CONFIDENCE) / 2:
            break
        left_out += 1
    return max(left_out - 1, 0)


def verdict(pairs: Sequence[Pair], bar: float, *, of: Sequence[str] = ("wall",)) -> bool:
    """Print the ratios beside the bar; return False if one lies below it with its interval."""
    kept = True
    for name in ("wall", "backend", "workers"):
        ratios = interval([pair.ratio(name) for pair in pairs])
        word = ""
        if name in of:
            word = f"; the bar is {bar:g}: {in_a_word(ratios, bar)}"
            kept &= ratios.high >= bar
        print(f"{name:>8}: {ratios}{word}")
    return kept


def in_a_word(ratios: Interval, bar: float) -> str:
    """Return what an interval says of a bar."""
    if ratios.low >= bar:
        return "KEPT"
    if ratios.middle >= bar:
        return "KEPT by the median"
    return "UNDECIDED: the interval reaches it" if ratios.high >= bar else "MISSED"


def in_a_word_at_most(found: Interval, bar: float) -> str:
    """Return what an interval says of a bar that nothing may lie above."""
    below = Interval(low=-found.high, middle=-found.middle, high=-found.low)
    return in_a_word(below, -bar)
