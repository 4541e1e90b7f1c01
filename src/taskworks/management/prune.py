"""``manage.py taskworks prune``: delete runs that ended long ago."""

import argparse
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand

from taskworks.maintenance.prune import Retention, prunable, prune
from taskworks.management.arguments import database_backend, days, names
from taskworks.store import store

HELP = "Delete runs that ended long ago."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--backend",
        type=database_backend,
        default="default",
        metavar="ALIAS",
        help="The backend in TASKS whose runs to delete (default: default).",
    )
    add(
        "--queues",
        type=names,
        default=("*",),
        metavar="NAME,NAME",
        help="Their queues, or * for every one (default: *).",
    )
    add(
        "--min-age-days",
        type=days,
        default=14.0,
        metavar="DAYS",
        help="How long ago a run must have ended (default: 14).",
    )
    add(
        "--failed-min-age-days",
        type=days,
        metavar="DAYS",
        help="The same for failed and cancelled runs (default: as --min-age-days).",
    )
    add("--dry-run", action="store_true", help="Say how many would go, and delete none.")


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    retention = _retention(options)
    if options["dry_run"]:
        count, verb = prunable(store(), retention), "Would delete"
    else:
        count, verb = prune(store(), retention), "Deleted"
    if options["verbosity"] > 0:
        command.stdout.write(f"{verb} {count} task run{'' if count == 1 else 's'}.")


def _retention(options: dict[str, Any]) -> Retention:
    successful = options["min_age_days"]
    failed = options["failed_min_age_days"]
    return Retention(
        backend=options["backend"].alias,
        queues=None if "*" in options["queues"] else options["queues"],
        successful=timedelta(days=successful),
        failed=timedelta(days=successful if failed is None else failed),
    )
