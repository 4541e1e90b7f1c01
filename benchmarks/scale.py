"""
How far one database goes: ``python -m benchmarks.scale --rate 200 --seconds 0.25 --workers 20``.

Simulates the load that you give, with costs that were measured, and says how long runs wait, what
limits them, when a backlog is gone, and what a day costs the server.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.figures import Figures, Key
from benchmarks.measures.costs import DRAINED, KEPT, LOG, ONE_BY_ONE_PREFIX, OWN, SERVER
from benchmarks.processes import ROOT
from benchmarks.simulation import Engine, Load, simulate
from benchmarks.tables import OURS

FIGURES = ROOT / "benchmarks" / "scale.json"
DAY = 86_400  # seconds
GB = 1e9


@dataclass(frozen=True)
class Costs:
    """What was measured of one run, and of one worker."""

    enqueue: float  # seconds of the server's processors, one by one
    drain: float  # the same, to claim and finish
    worker: float  # seconds of a worker's processor
    log: float  # bytes of write-ahead log, for all of it
    kept: float  # bytes of a finished run in the table and its indexes
    one_worker: float  # no-op runs a second
    latency: float  # seconds from the commit to the first line, in an idle worker

    @classmethod
    def of(cls, figures: Figures, store: str) -> Self:
        """Return those of a kind of database; raise LookupError if they were not measured."""

        def median(part: str, measure: str) -> float:
            value = figures.median(Key(part, measure, OURS, store))
            if value is None:
                raise LookupError(f"The figures have no {part}, {measure}, on {store}.")
            return value

        return cls(
            enqueue=median("costs", f"{ONE_BY_ONE_PREFIX}{SERVER}") / 1e6,
            drain=median("costs", f"{DRAINED}{SERVER}") / 1e6,
            worker=median("costs", f"{DRAINED}{OWN}") / 1e6,
            log=sum(median("costs", f"{of}{LOG}") for of in (ONE_BY_ONE_PREFIX, DRAINED)),
            kept=median("costs", KEPT),
            one_worker=median("drain", "1 worker"),
            latency=median("latency", "p50 ms") / 1000,
        )

    @property
    def server(self) -> float:
        """Seconds of the server's processors for all of a run."""
        return self.enqueue + self.drain

    def engine(self, workers: int, slots: int, cores: float) -> Engine:
        """Return what executes, beside a server with so many processors."""
        return Engine(
            workers=workers,
            slots=slots,
            worker_rate=self.one_worker,
            ceiling=cores / self.server,
            latency=self.latency,
        )

    def beside_server(self, workers: int, processors: int) -> float:
        """Return the no-op runs a second of workers that share processors with their servers."""
        return min(workers * self.one_worker, processors / (self.drain + self.worker))


@dataclass(frozen=True)
class Question:
    """What a reader wants to know."""

    load: Load
    engine: Engine
    costs: Costs
    backlog: int = 0
    retention: float = 14  # days

    def answer(self) -> Iterator[str]:
        """Yield lines."""
        capacity, limit = self.engine.capacity(self.load.seconds)
        yield f"capacity   {capacity:,.0f} runs a second; what limits it: {limit}"
        for name, (servers, took) in self.engine.stations(self.load.seconds).items():
            yield f"{name:<10} {self.load.rate * took / servers:.1%} busy"
        yield from self._waits(capacity - self.load.rate)
        yield from self._a_day()

    def _waits(self, spare: float) -> Iterator[str]:
        if spare <= 0:
            yield f"delay      without end: {-spare * 3600:,.0f} more runs wait after each hour"
            return
        outcome = simulate(self.load, self.engine)
        shown = (
            f"p{share * 100:g} {duration(outcome.quantile(share))}" for share in (0.5, 0.9, 0.99)
        )
        yield f"delay      {', '.join(shown)}"
        if self.backlog:
            yield f"backlog    {self.backlog:,} runs, gone after {duration(self.backlog / spare)}"

    def _a_day(self) -> Iterator[str]:
        runs = self.load.rate * DAY
        kept = runs * self.retention
        log = f"{runs * self.costs.log / GB:,.1f} GB of log"
        yield f"a day      {runs / 1e6:,.1f} million runs, {log}"
        yield f"server     {self.load.rate * self.costs.server:.2f} processors"
        yield (
            f"kept       {kept / 1e6:,.0f} million runs after {self.retention:g} days, "
            f"{kept * self.costs.kept / GB:,.0f} GB"
        )


def duration(seconds: float) -> str:
    """Return a time with its unit."""
    for unit, size, limit in (("ms", 1e-3, 1.0), ("s", 1.0, 120.0), ("min", 60.0, 7200.0)):
        if seconds < limit:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds / 3600:,.1f} h"


def question(arguments: Sequence[str] | None) -> Question:
    """Return what the command line asks."""
    given = _parser().parse_args(arguments)
    costs = Costs.of(Figures.load(given.figures), given.database)
    return Question(
        load=Load(rate=given.rate, seconds=given.seconds, spread=given.spread),
        engine=costs.engine(given.workers, given.threads, given.cores),
        costs=costs,
        backlog=given.backlog,
        retention=given.retention,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--rate", type=_positive, required=True, help="runs that become ready a second")
    add("--seconds", type=_number, required=True, help="that a run takes, on average")
    add("--spread", type=_number, default=1.0, help="of these: 0 if all are equal (default: 1)")
    add("--workers", type=_count, default=1, help="worker processes (default: 1)")
    add("--threads", type=_count, default=4, help="slots of each worker (default: 4)")
    add("--cores", type=_positive, default=1.0, help="processors of the database (default: 1)")
    add("--backlog", type=_count, default=0, help="runs that wait at the beginning (default: 0)")
    add("--retention", type=_number, default=14, help="days for which runs are kept (default: 14)")
    add("--database", choices=["postgresql", "mariadb"], default="postgresql", help="its kind")
    add("--figures", type=Path, default=FIGURES, help="measured, by python -m benchmarks --save")
    return parser


def _number(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return value


def _positive(text: str) -> float:
    if not (value := _number(text)):
        raise argparse.ArgumentTypeError("it must be more than 0")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not at least 1")
    return value


def main() -> None:
    """Print the answer."""
    for line in question(None).answer():
        print(line)


if __name__ == "__main__":
    main()
