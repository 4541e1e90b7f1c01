"""
A simulation of a queue with its workers and its database: how long runs wait, and what they wait
for.

A run passes three stations in the order in which it became ready. The **database** serves one at a
time, as fast as its processors allow; a **worker** prepares and records one at a time; then a
**slot** executes it. Each station is a first-come queue with so many servers, computed exactly: a
run begins when it has arrived and one of the servers is free.
"""

import heapq
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

WARM_UP = 0.1  # of the runs, which find fewer others than those after them


@dataclass(frozen=True, kw_only=True)
class Load:
    """What arrives: ``rate`` runs a second, each of which takes ``seconds`` to execute."""

    rate: float
    seconds: float
    spread: float = 1.0  # of the seconds: 0 if all are equal; 1 as an exponential distribution


@dataclass(frozen=True, kw_only=True)
class Engine:
    """What executes it."""

    workers: int
    slots: int  # of each worker
    worker_rate: float  # no-op runs a second that one worker drains
    ceiling: float  # runs a second that the database carries
    latency: float = 0.0  # seconds from the commit to the first line in an idle worker

    def stations(self, seconds: float) -> dict[str, tuple[int, float]]:
        """Return the servers of each station, and the seconds that each takes for a run."""
        return {
            "database": (1, 1 / self.ceiling),
            "workers": (self.workers, 1 / self.worker_rate),
            "slots": (self.workers * self.slots, seconds),
        }

    def capacity(self, seconds: float) -> tuple[float, str]:
        """Return the most runs a second, and the station that allows no more."""
        return min(
            (servers / took if took else math.inf, name)
            for name, (servers, took) in self.stations(seconds).items()
        )


@dataclass(frozen=True)
class Outcome:
    """How long runs waited to begin, sorted."""

    delays: list[float]

    def quantile(self, share: float) -> float:
        """Return the delay within which this share of the runs began."""
        return self.delays[min(int(share * len(self.delays)), len(self.delays) - 1)]

    @property
    def mean(self) -> float:
        return sum(self.delays) / len(self.delays)


def simulate(load: Load, engine: Engine, runs: int = 200_000, seed: int = 1) -> Outcome:
    """Let so many runs arrive at random moments."""
    chance = random.Random(seed)
    arrivals = [*_random_moments(chance, load.rate, runs)]
    moments = arrivals
    *before, (slots, _) = engine.stations(load.seconds).values()
    for servers, took in before:
        moments = [begin + took for begin in begins(moments, [took] * runs, servers)]
    began = begins(moments, _durations(chance, load, runs), slots)
    waited = [
        begin - arrival + engine.latency for begin, arrival in zip(began, arrivals, strict=True)
    ]
    return Outcome(sorted(waited[round(WARM_UP * runs) :]))


def delays(arrivals: list[float], durations: Iterable[float], servers: int) -> list[float]:
    """Return how long each waits at a station, in the order of arrival."""
    began = begins(arrivals, durations, servers)
    return [begin - arrival for begin, arrival in zip(began, arrivals, strict=True)]


def begins(arrivals: Iterable[float], durations: Iterable[float], servers: int) -> list[float]:
    """Return when each begins at a station with so many servers, in the order of arrival."""
    free = [-math.inf] * servers
    began = []
    for arrival, duration in zip(arrivals, durations, strict=True):
        begin = max(arrival, free[0])
        heapq.heapreplace(free, begin + duration)
        began.append(begin)
    return began


def _random_moments(chance: random.Random, rate: float, runs: int) -> Iterator[float]:
    moment = 0.0
    for _ in range(runs):
        moment += chance.expovariate(rate)
        yield moment


def _durations(chance: random.Random, load: Load, runs: int) -> list[float]:
    """Return durations with this mean and spread: of a gamma distribution."""
    if not load.spread or not load.seconds:
        return [load.seconds] * runs
    shape = 1 / load.spread**2
    return [chance.gammavariate(shape, load.seconds / shape) for _ in range(runs)]
