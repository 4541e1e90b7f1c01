"""What the subcommands print: JSON with stable keys for programs, lines and tables for people."""

import argparse
import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand

from taskworks.models import TaskRun

# The keys of a run, in the order in which they are printed; none is ever renamed.
SUMMARY = (
    "id",
    "task_path",
    "called_path",
    "backend",
    "queue_name",
    "priority",
    "executor",
    "state",
    "status",
    "attempts",
    "target",
    "progress",
    "enqueued_at",
    "started_at",
    "finished_at",
)
DETAILS = (
    *SUMMARY,
    "run_after",
    "available_at",
    "expires_at",
    "claimed_at",
    "claimed_by",
    "last_attempted_at",
    "missing_since",
    "cancel_requested_at",
    "failures",
    "crashes",
    "at_most_once",
    "worker_ids",
    "options",
    "args",
    "kwargs",
    "return_value",
    "metadata",
    "messages",
    "errors",
)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option that all subcommands but worker and prune have."""
    parser.add_argument("--json", action="store_true", help="Print JSON, for programs.")


def print_json(command: BaseCommand, value: Any) -> None:
    """One document, in ASCII; times are ISO 8601."""
    command.stdout.write(json.dumps(value, indent=2, default=_plain))


def print_line(command: BaseCommand, text: str = "") -> None:
    """A line for people, which a terminal shows and does not obey."""
    command.stdout.write(visible(text))


def print_table(command: BaseCommand, titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Columns as wide as their widest cell."""
    table = [titles, *([cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        print_line(command, line.rstrip())


def keyed(run: TaskRun, keys: Sequence[str]) -> dict[str, Any]:
    """What JSON tells of a run."""
    return {key: getattr(run, key) for key in keys}


def cell(value: Any) -> str:
    """A value in a table: a time to the second, nothing as a dash."""
    if value is None or value == "":
        return "-"
    return visible(f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value))


def progress(run: TaskRun) -> str | None:
    """How far a run is, in words."""
    if run.progress is None:
        return None
    return f"{run.progress}" if run.target is None else f"{run.progress} of {run.target}"


def span(duration: timedelta) -> str:
    """A duration for people."""
    if duration < timedelta(minutes=1):
        return f"{duration.total_seconds():.1f} s"
    return str(duration).partition(".")[0]


def visible(text: str) -> str:
    """The text with every control character written out: a task may have said anything."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or sign in "\n\t" else _written(sign) for sign in text
    )


def _written(sign: str) -> str:
    return ascii(sign)[1:-1]


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
