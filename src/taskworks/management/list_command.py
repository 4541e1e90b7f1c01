"""``manage.py taskworks list``: list the runs that a filter means, the newest first."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from taskworks.filtering import RunFilter
from taskworks.filtering.matching_runs import Page, page_of
from taskworks.management.argument_types import positive_integer
from taskworks.management.filter_options import add_filter, filter_of
from taskworks.management.output import (
    SUMMARY,
    add_json,
    keyed,
    print_json,
    print_line,
    print_table,
    progress,
)
from taskworks.management.reach import check_reachable
from taskworks.models import TaskRun
from taskworks.store import store

TITLES = ("ID", "STATE", "TASK", "QUEUE", "ATTEMPTS", "PROGRESS", "ENQUEUED", "FINISHED")
COLUMNS = (
    *(key for key in SUMMARY if key not in ("called_path", "priority", "status")),
    "callable_path",
    "rank",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_filter(parser)
    parser.add_argument(
        "--limit",
        type=positive_integer,
        default=20,
        metavar="N",
        help="The largest number of runs to list (default: 20).",
    )
    parser.add_argument("--after", metavar="CURSOR", help="Go on where a list has ended.")
    add_json(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    meant = filter_of(options)
    check_reachable()
    page = _page(meant, options)
    if options["json"]:
        print_json(command, [keyed(run, SUMMARY) for run in page.runs])
    elif page.runs:
        print_table(command, TITLES, map(_row, page.runs))
    else:
        print_line(command, "No runs match.")
    if page.searched:
        said = f"Only {page.searched} were searched. To search further back: --after {page.after}"
        command.stderr.write(said)


def _page(meant: RunFilter, options: dict[str, Any]) -> Page:
    try:
        return page_of(
            store(), meant, after=options["after"], limit=options["limit"], columns=COLUMNS
        )
    except ValueError as error:
        raise CommandError(str(error), returncode=2) from None


def _row(run: TaskRun) -> tuple[Any, ...]:
    return (
        run.id,
        run.state,
        run.called_path,
        run.queue_name,
        run.attempts,
        progress(run),
        run.enqueued_at,
        run.finished_at,
    )
