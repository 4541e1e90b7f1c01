"""``manage.py taskworks import-schedules``: make schedules of those of Celery's beat."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections

from taskworks.management.output import add_json, print_json, print_line, print_table
from taskworks.management.reach import check_reachable
from taskworks.moving.beat import tables
from taskworks.moving.beat.entries import CannotImport
from taskworks.moving.beat.importing import Imported, Sources, import_schedules

TABLES, SETTINGS = "tables", "settings"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--from",
        dest="source",
        choices=(TABLES, SETTINGS),
        help="Read only the tables of django-celery-beat, or only the settings (default: both).",
    )
    add(
        "--app",
        metavar="PATH",
        help="Read beat_schedule of this Celery app, such as project.celery:app, instead of "
        "CELERY_BEAT_SCHEDULE.",
    )
    add(
        "--database",
        default=DEFAULT_DB_ALIAS,
        choices=[*connections],
        metavar="ALIAS",
        help="The database with the tables of django-celery-beat (default: default).",
    )
    add(
        "--map",
        dest="mapped",
        action="append",
        type=_mapping,
        default=[],
        metavar="OLD=NEW",
        help="The path of the task that beat calls OLD. May be given several times.",
    )
    add(
        "--disable-old",
        action="store_true",
        help="Disable in the tables of django-celery-beat what is imported from them.",
    )
    add("--dry-run", action="store_true", help="Print what would be imported, and change nothing.")
    add_json(parser)


def _mapping(text: str) -> tuple[str, str]:
    old, _, new = text.partition("=")
    if not old or not new:
        raise argparse.ArgumentTypeError(f"must be OLD=NEW, not {text!r}")
    return old, new


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    check_reachable()
    try:
        done = import_schedules(
            _sources(options),
            dict(options["mapped"]),
            disable_old=options["disable_old"],
            dry_run=options["dry_run"],
        )
    except CannotImport as error:
        raise CommandError(str(error), returncode=2) from error
    if options["json"]:
        print_json(command, _keyed(done, options))
    else:
        _print(command, done, options)
    if left := len(done.left):
        schedules = f"{left} schedule{'' if left == 1 else 's'}"
        raise CommandError(f"{schedules} could not be imported.")


def _sources(options: dict[str, Any]) -> Sources:
    source, alias = options["source"], options["database"]
    has_tables = source != SETTINGS and tables.are_there(alias)
    if source == TABLES and not has_tables:
        raise CannotImport(
            f"The database {alias!r} does not have the tables of django-celery-beat."
        )
    return Sources(alias if has_tables else None, source != TABLES, options["app"])


def _keyed(done: Imported, options: dict[str, Any]) -> dict[str, Any]:
    return {
        "dry_run": options["dry_run"],
        "schedules": [
            {"label": fate.name, "task": fate.task, "result": fate.result, "reason": fate.reason}
            for fate in done.fates
        ],
        "disabled": done.disabled,
        "remarks": done.remarks,
    }


def _print(command: BaseCommand, done: Imported, options: dict[str, Any]) -> None:
    if not done.fates:
        print_line(command, "Beat has no schedules, in its tables or in the settings.")
        return
    print_table(
        command,
        ("SCHEDULE", "TASK", "WOULD BE" if options["dry_run"] else "IS"),
        [(fate.name, fate.task, fate.result) for fate in done.fates],
    )
    for fate in done.fates:
        if fate.reason:
            print_line(command, f"{fate.result.capitalize()}: {fate.name}: {fate.reason}")
    for remark in done.remarks:
        print_line(command, remark)
    if done.disabled:
        verb = "Would disable" if options["dry_run"] else "Disabled"
        print_line(command, f"{verb} {len(done.disabled)} in the tables of django-celery-beat.")
