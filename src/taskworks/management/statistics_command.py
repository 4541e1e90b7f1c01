"""``manage.py taskworks statistics``: what became of the runs of each task, and ``rebuild``."""

import argparse
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from taskworks.durations import in_words
from taskworks.management.argument_types import positive_integer
from taskworks.management.output import add_json, print_json, print_line, print_table
from taskworks.management.reach import check_reachable
from taskworks.models.statistic import COUNTS
from taskworks.statistics import reading
from taskworks.statistics.reading import Key, TooManyRows
from taskworks.statistics.rebuild import BusyError, rebuild
from taskworks.statistics.tally import Tally
from taskworks.store import store

TITLES = ("TASK", "SUCCESSFUL", "FAILED", "RETRIED", "WAIT P95", "RUN P50", "RUN P95", "RUN MAX")
REBUILD = "rebuild"
KEPT = (
    "Totals of runs that were deleted before stay as they are: the record does not have them any "
    "more."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        nargs="?",
        choices=[REBUILD],
        help="Add what the record has and the statistics have not (default: show them).",
    )
    parser.add_argument(
        "--hours",
        type=positive_integer,
        default=1,
        metavar="N",
        help="Of the latest N hours (default: 1).",
    )
    add_json(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    check_reachable()
    if options["action"] == REBUILD:
        _rebuild(command, options)
        return
    try:
        tallies = reading.within(store(), timedelta(hours=options["hours"]), by=reading.by_task)
    except (TooManyRows, OverflowError) as error:
        raise CommandError(f"{error} Show fewer hours.", returncode=2) from None
    if options["json"]:
        print_json(command, [_keyed(key, tallies[key]) for key in sorted(tallies)])
    elif tallies:
        print_table(command, TITLES, [_row(key, tallies[key]) for key in sorted(tallies)])
    else:
        print_line(command, "Nothing was counted.")


def _rebuild(command: BaseCommand, options: dict[str, Any]) -> None:
    try:
        rebuilt = rebuild(store())
    except BusyError as error:
        raise CommandError(str(error), returncode=1) from None
    if options["json"]:
        print_json(command, rebuilt._asdict())
        return
    told = f"Read {rebuilt.read} finished runs; {rebuilt.added} of them were not counted before."
    print_line(command, f"{told} {KEPT}")


def _row(key: Key, tally: Tally) -> tuple[Any, ...]:
    counts = (tally[name] or None for name in ("successful", "failed", "retried"))
    seconds = (
        tally.wait_quantile(0.95),
        tally.run_quantile(0.5),
        tally.run_quantile(0.95),
        tally.run_max,
    )
    return (key.task_path, *counts, *map(_duration, seconds))


def _duration(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else in_words(timedelta(seconds=seconds))


def _keyed(key: Key, tally: Tally) -> dict[str, Any]:
    return {
        "task_path": key.task_path,
        **dict(zip(COUNTS, tally.counts, strict=True)),
        "wait_p50": tally.wait_quantile(0.5),
        "wait_p95": tally.wait_quantile(0.95),
        "run_p50": tally.run_quantile(0.5),
        "run_p95": tally.run_quantile(0.95),
        "run_max": tally.run_max,
    }
