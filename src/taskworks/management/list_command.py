"""``manage.py taskworks list``: list runs, the newest first."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand

from taskworks.management.argument_types import positive_integer, state
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

HELP = "List runs, the newest first."
TITLES = ("ID", "STATE", "TASK", "QUEUE", "ATTEMPTS", "PROGRESS", "ENQUEUED", "FINISHED")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--state", type=state, metavar="STATE", help="Only runs in this state.")
    add("--queue", metavar="NAME", help="Only runs of this queue.")
    add("--task", metavar="PATH", help="Only runs of this task, or schedule's callable.")
    add("--backend", metavar="ALIAS", help="Only runs of this backend.")
    add(
        "--limit",
        type=positive_integer,
        default=20,
        metavar="N",
        help="The largest number of runs to list (default: 20).",
    )
    add_json(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    check_reachable()
    runs = _chosen(options)
    if options["json"]:
        print_json(command, [keyed(run, SUMMARY) for run in runs])
    elif runs:
        print_table(command, TITLES, map(_row, runs))
    else:
        print_line(command, "No runs match.")


def _chosen(options: dict[str, Any]) -> list[TaskRun]:
    wanted = {
        "state": options["state"],
        "queue_name": options["queue"],
        "backend": options["backend"],
    }
    columns = [key for key in SUMMARY if key not in ("called_path", "priority", "status")]
    given = {name: value for name, value in wanted.items() if value is not None}
    runs = store().runs.filter(**given).only(*columns, "callable_path", "rank")
    if options["task"] is not None:
        runs = runs.calling(options["task"])
    return list(runs.order_by("-id")[: options["limit"]])


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
