"""The output of the subcommands: JSON for programs, lines and tables for people."""

import argparse
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand

from taskworks.database.fields import Unreadable
from taskworks.logs import one_line, visible
from taskworks.models import TaskRun

# The JSON keys of a run, in the order in which they are printed. Public: do not rename them.
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
    "limit_name",
    "lane",
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
    """Add ``--json``, which all subcommands except worker and prune have."""
    parser.add_argument("--json", action="store_true", help="Print JSON, for programs.")


def print_json(command: BaseCommand, value: Any) -> None:
    """Print one JSON document, in ASCII; times are ISO 8601."""
    command.stdout.write(json.dumps(value, indent=2, default=_plain))


def print_line(command: BaseCommand, text: str = "") -> None:
    """Print a line for people, with line breaks and control characters escaped."""
    command.stdout.write(one_line(text))


def print_lines(command: BaseCommand, text: str) -> None:
    """Print lines for people, with control characters escaped."""
    command.stdout.write(visible(text))


def print_table(command: BaseCommand, titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table whose columns are as wide as their widest cells."""
    table = [titles, *([cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        print_line(command, line.rstrip())


def keyed(run: TaskRun, keys: Sequence[str]) -> dict[str, Any]:
    """Return these attributes of a run, for JSON; the text of those that cannot be read."""
    values = {key: getattr(run, key) for key in keys}
    return {key: v.text if isinstance(v, Unreadable) else v for key, v in values.items()}


def cell(value: Any) -> str:
    """Return a value as a table shows it: times to the second, a dash for None and empty text."""
    if value is None or value == "":
        return "-"
    return one_line(f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value))


def progress(run: TaskRun) -> str | None:
    """Return the progress of a run, such as "12 of 30"; None if it has none."""
    if run.progress is None:
        return None
    return f"{run.progress}" if run.target is None else f"{run.progress} of {run.target}"


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
