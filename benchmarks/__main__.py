"""``python -m benchmarks``: compare Taskworks and its peers on this machine."""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine, page, report
from benchmarks.benchmark import Benchmark
from benchmarks.contenders import STORES
from benchmarks.figures import Figures
from benchmarks.measures import (
    arrivals,
    costs,
    drain,
    enqueue,
    growing,
    growth,
    held,
    idle,
    latency,
    schedules,
    variants,
)
from benchmarks.processes import ROOT
from benchmarks.systems import BY_NAME

PARTS = {
    "enqueue": enqueue.measure,
    "drain": drain.measure,
    "latency": latency.measure,
    "idle": idle.measure,
    "growth": growth.measure,
    "held": held.measure,
    "schedules": schedules.measure,
    "variants": variants.measure,
}
# What `benchmarks.scale` is computed from, and checked against; on request alone.
OF_SCALE = {"costs": costs.measure, "arrivals": arrivals.measure, "growing": growing.measure}
KNOWN = {**PARTS, **OF_SCALE}
ROUNDS = 5
QUICK_SCALE = 0.25  # of the number of runs
QUICK_SYSTEMS = [
    "taskworks",
    "taskworks-async",
    "bare",
    "bare-today",
    "django-tasks-db",
    "pgqueuer",
]
DEFAULT_FILE = ROOT / ".cache" / "benchmarks.json"


def main() -> None:
    """Measure what the command line selects, and report the figures."""
    arguments = _parse(sys.argv[1:])
    if arguments.from_file:
        figures = Figures.load(arguments.from_file)
    else:
        figures = Figures.load(arguments.onto) if arguments.onto else Figures()
        figures.forget(arguments.parts)
        _measure(arguments, figures)
    report.show(figures)
    if arguments.write:
        page.write(figures)


def _measure(arguments: argparse.Namespace, figures: Figures) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    with tempfile.TemporaryDirectory(prefix="taskworks-bench-") as files:
        benchmark = Benchmark(
            systems=arguments.systems or (QUICK_SYSTEMS if arguments.quick else [*BY_NAME]),
            stores=arguments.databases,
            rounds=arguments.rounds or (1 if arguments.quick else ROUNDS),
            scale=QUICK_SCALE if arguments.quick else 1,
            files=Path(files),
            figures=figures,
            options=dict(arguments.options),
        )
        figures.facts |= {"rounds": benchmark.rounds, "scale": benchmark.scale}
        try:
            for part in arguments.parts:
                figures.note_part(part, machine.facts())
                _measure_part(part, benchmark)
        except KeyboardInterrupt:
            report.show(figures)
            sys.exit("interrupted; the figures so far are above")
        finally:
            figures.save(arguments.save)


def _measure_part(part: str, benchmark: Benchmark) -> None:
    started_at = time.monotonic()
    print(f"\n=== {part} ===", flush=True)
    KNOWN[part](benchmark)
    print(f"  ({time.monotonic() - started_at:.0f} s)", flush=True)


def _interrupt(number: int, frame: object) -> None:
    # Only once, so that another signal does not interrupt the cleanup.
    for again in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(again, signal.SIG_IGN)
    raise KeyboardInterrupt


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--parts", type=_names(KNOWN), default=[*PARTS], help=", ".join(KNOWN))
    add("--systems", type=_names(BY_NAME), help=", ".join(BY_NAME))
    add("--databases", type=_names(STORES), default=STORES, help=", ".join(STORES))
    add(
        "--options",
        type=_options,
        action="append",
        default=[],
        metavar="SYSTEM=OPTIONS",
        help="further options for a system's worker, for example 'taskworks=--threads 8'",
    )
    add("--rounds", type=int, help=f"number of rounds (default: {ROUNDS}; with --quick: 1)")
    add("--quick", action="store_true", help="a quarter of the tasks, one round, few systems")
    add("--write", action="store_true", help=f"write {page.PAGE.relative_to(ROOT)} and its chart")
    add("--save", type=Path, default=DEFAULT_FILE, help="the file for the figures, as JSON")
    add("--onto", type=Path, help="a file of saved figures; measure only some parts of it again")
    add("--from-file", type=Path, help="measure nothing; report the figures in this file")
    return parser.parse_args(arguments)


def _names(known: Sequence[str] | dict[str, object]) -> object:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}")
        return names

    return parse


def _options(text: str) -> tuple[str, str]:
    system, _, options = text.partition("=")
    if system not in BY_NAME:
        raise argparse.ArgumentTypeError(f"unknown system: {system}")
    return system, options


if __name__ == "__main__":
    main()
