"""``manage.py taskworks move``: move runs that wait in the queue of another package."""

import argparse
from collections import Counter, defaultdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError

from taskworks.management.argument_types import database_backend, names, positive_integer
from taskworks.management.output import add_json, print_json, print_line, print_table
from taskworks.management.reach import check_reachable
from taskworks.moving.django_tasks_db import DjangoTasksDB
from taskworks.moving.django_tasks_rq import DjangoTasksRQ
from taskworks.moving.move import Moved, move
from taskworks.moving.waiting import CannotMove, Left, Source

DB, RQ = "django-tasks-db", "django-tasks-rq"
NAMED_IDS = 3  # of those that were left for one reason


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--from",
        dest="source",
        choices=(DB, RQ),
        required=True,
        help="The package in whose queue the runs wait.",
    )
    add(
        "--from-backend",
        default="default",
        metavar="ALIAS",
        help="The backend by which they were enqueued (default: default).",
    )
    add(
        "--backend",
        type=database_backend,
        default="default",
        metavar="ALIAS",
        help="The backend in TASKS to which they are moved (default: default).",
    )
    add(
        "--queues",
        type=names,
        default=("*",),
        metavar="NAME,NAME",
        help="The queues to move, or * for all queues (default: *).",
    )
    add(
        "--include-running",
        action="store_true",
        help="Also move what is marked as running in django-tasks-db; only if no db_worker lives.",
    )
    add("--limit", type=positive_integer, metavar="N", help="Move at most N runs.")
    add(
        "--dry-run",
        action="store_true",
        help="Print what would be moved and what would be left, and move nothing.",
    )
    add_json(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    if options["include_running"] and options["source"] != DB:
        raise CommandError(f"--include-running requires --from {DB}.", returncode=2)
    check_reachable()
    try:
        source = _source(options)
    except CannotMove as error:
        raise CommandError(str(error), returncode=2) from error
    moved, remarks = _moved(source, options)
    if options["json"]:
        print_json(command, _keyed(moved, remarks, options))
    else:
        _print(command, moved, remarks, options)
    if moved.left:
        verb = "Would leave" if options["dry_run"] else "Left"
        runs = f"{len(moved.left)} run{'' if len(moved.left) == 1 else 's'}"
        raise CommandError(f"{verb} {runs} in {options['source']}.")


def _source(options: dict[str, Any]) -> Source:
    alias, queues = options["from_backend"], options["queues"]
    chosen = None if "*" in queues else queues
    if options["source"] == DB:
        return DjangoTasksDB(alias, chosen, include_running=options["include_running"])
    return DjangoTasksRQ(alias, chosen)


def _moved(source: Source, options: dict[str, Any]) -> tuple[Moved, list[str]]:
    backend, limit = options["backend"], options["limit"]
    interruptions: tuple[type[Exception], ...] = (DatabaseError, *source.errors)
    try:
        return move(source, backend, limit, dry_run=options["dry_run"]), source.remarks()
    except CannotMove as error:
        raise CommandError(str(error)) from error
    except interruptions as error:
        raise CommandError(
            f"Moving from {options['source']} was interrupted: {str(error).strip()}. Run the "
            "command again: it goes on where it ended."
        ) from error


def _keyed(moved: Moved, remarks: list[str], options: dict[str, Any]) -> dict[str, Any]:
    return {
        "dry_run": options["dry_run"],
        "tasks": [
            {"task_path": path, "moved": number, "left": left}
            for path, number, left in _counts(moved)
        ],
        "left": [
            {"id": key, "task_path": path, "reason": reason} for key, path, reason in moved.left
        ],
        "remarks": remarks,
    }


def _counts(moved: Moved) -> list[tuple[str | None, int, int]]:
    """Return how many of each path were moved and left."""
    left = Counter(one.task_path for one in moved.left)
    paths = sorted({*moved.tasks, *left}, key=lambda path: path or "")
    return [(path, moved.tasks[path or ""], left[path]) for path in paths]


def _print(command: BaseCommand, moved: Moved, remarks: list[str], options: dict[str, Any]) -> None:
    if moved.number or moved.left:
        titles = ("TASK", "WOULD MOVE" if options["dry_run"] else "MOVED", "LEFT")
        print_table(command, titles, _counts(moved))
    else:
        print_line(
            command,
            f"Nothing waits in {options['source']} for the backend {options['from_backend']!r}.",
        )
    for (path, reason), ids in _by_reason(moved.left).items():
        more = f", and {len(ids) - NAMED_IDS} more" if len(ids) > NAMED_IDS else ""
        print_line(command, f"Left: {path or 'unknown task'}: {reason}")
        print_line(command, f"  {', '.join(ids[:NAMED_IDS])}{more}")
    for remark in remarks:
        print_line(command, remark)


def _by_reason(left: list[Left]) -> dict[tuple[str | None, str], list[str]]:
    """Return the ids of what was left, by path and reason."""
    grouped: dict[tuple[str | None, str], list[str]] = defaultdict(list)
    for key, path, reason in left:
        grouped[path, reason].append(key)
    return grouped
