"""``python -m benchmarks``: Taskworks and its peers, in turns, on this machine."""

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
    drain,
    enqueue,
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
QUICK = 0.25  # of the runs, in one round, of these systems
QUICK_SYSTEMS = ["taskworks", "taskworks-async", "bare", "django-tasks-db", "pgqueuer"]
LAST = ROOT / ".cache" / "benchmarks.json"


def main() -> None:
    """Measure what the command line names, and report."""
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
            rounds=arguments.rounds or (1 if arguments.quick else 3),
            scale=QUICK if arguments.quick else 1,
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
            sys.exit(
                "interrupted: these are the figures that there were, and nothing is left behind"
            )
        finally:
            figures.save(arguments.save)


def _measure_part(part: str, benchmark: Benchmark) -> None:
    began = time.monotonic()
    print(f"\n=== {part} ===", flush=True)
    PARTS[part](benchmark)
    print(f"  ({time.monotonic() - began:.0f} s)", flush=True)


def _interrupt(number: int, frame: object) -> None:
    """Once: what is there has to be cleaned up."""
    for again in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(again, signal.SIG_IGN)
    raise KeyboardInterrupt


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--parts", type=_names(PARTS), default=[*PARTS], help=", ".join(PARTS))
    add("--systems", type=_names(BY_NAME), help=", ".join(BY_NAME))
    add("--databases", type=_names(STORES), default=STORES, help=", ".join(STORES))
    add(
        "--options",
        type=_options,
        action="append",
        default=[],
        metavar="SYSTEM=OPTIONS",
        help="more options for a system's worker, as in 'taskworks=--threads 8'",
    )
    add("--rounds", type=int, help="how often each is measured (3; quick: 1)")
    add("--quick", action="store_true", help="a quarter of the tasks, one round, few systems")
    add("--write", action="store_true", help=f"write {page.PAGE.relative_to(ROOT)} and its chart")
    add("--save", type=Path, default=LAST, help="where the figures go, as JSON")
    add("--onto", type=Path, help="keep the other parts of figures that were saved")
    add("--from-file", type=Path, help="measure nothing, report figures that were saved")
    return parser.parse_args(arguments)


def _names(known: Sequence[str] | dict[str, object]) -> object:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"no such name: {', '.join(unknown)}")
        return names

    return parse


def _options(text: str) -> tuple[str, str]:
    system, _, options = text.partition("=")
    if system not in BY_NAME:
        raise argparse.ArgumentTypeError(f"no such system: {system}")
    return system, options


if __name__ == "__main__":
    main()
