"""``manage.py taskworks prune``: delete runs that finished long ago."""

import argparse
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from taskworks.backends.database import DatabaseBackend
from taskworks.duties.prune import prunable, prune
from taskworks.duties.tidy import tidy
from taskworks.management.argument_types import database_backend, days, names
from taskworks.options.retention import Rule, retention_of
from taskworks.store import store, store_alias


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
        help="The queues whose runs to delete, or * for all queues (default: *).",
    )
    add(
        "--min-age-days",
        type=days,
        metavar="DAYS",
        help="How long ago a run must have finished (default: from RETENTION in the settings).",
    )
    add(
        "--failed-min-age-days",
        type=days,
        metavar="DAYS",
        help="The same for failed and cancelled runs (default: --min-age-days, if given).",
    )
    add(
        "--dry-run",
        action="store_true",
        help="Print how many runs would be deleted, and delete none.",
    )


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    _refuse_another_database(options["backend"])
    rules = _rules(options)
    if options["dry_run"]:
        count, verb = prunable(store(), rules), "Would delete"
    else:
        count, verb = prune(store(), rules), "Deleted"
        tidy(store())
    if options["verbosity"] > 0:
        command.stdout.write(f"{verb} {count} task run{'' if count == 1 else 's'}.")


def _refuse_another_database(backend: DatabaseBackend) -> None:
    if backend.database != store_alias():
        raise CommandError(
            f"The backend {backend.alias!r} has its runs in the database {backend.database!r}, "
            f"not in {store_alias()!r}: nothing was deleted. Name one of its backends with "
            "--backend.",
            returncode=2,
        )


def _rules(options: dict[str, Any]) -> list[Rule]:
    retention = retention_of(options["backend"]).with_ages(_ages(options))
    return retention.rules() if "*" in options["queues"] else retention.rules_in(options["queues"])


def _ages(options: dict[str, Any]) -> dict[str, timedelta]:
    """Return the ages that were given, by outcome."""
    successful, failed = options["min_age_days"], options["failed_min_age_days"]
    failed = successful if failed is None else failed
    given = {"successful": successful, "failed": failed, "cancelled": failed}
    return {outcome: timedelta(days=age) for outcome, age in given.items() if age is not None}
