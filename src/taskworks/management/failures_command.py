"""``manage.py taskworks failures``: list groups of failures, and retry or mute one."""

import argparse
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from taskworks import control
from taskworks.actions import audit, failure_actions
from taskworks.actions.failure_actions import Retried, Seen
from taskworks.management.argument_types import point_in_time, positive_integer, seconds
from taskworks.management.output import add_json, print_json, print_line, print_table
from taskworks.management.reach import check_reachable
from taskworks.models import FailureGroup
from taskworks.store import store

TITLES = (
    "GROUP",
    "TASK",
    "EXCEPTION",
    "PLACE",
    "COUNT",
    "OPEN",
    "FIRST SEEN",
    "LAST SEEN",
    "SINCE",
)
# The JSON keys of a group, which are its columns. Public: do not rename them.
KEYS = (
    "fingerprint",
    "task_path",
    "exception",
    "place",
    "message",
    "sample",
    "first_at",
    "last_at",
    "first_release",
    "last_release",
    "count",
    "muted_until",
    "note",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("group", nargs="?", metavar="GROUP", help="The fingerprint of a group (default: all).")
    add("--retry", action="store_true", help="Run the failed runs of the group again.")
    add(
        "--within",
        type=seconds,
        metavar="SECONDS",
        help="With --retry: only those that failed within this time.",
    )
    add(
        "--mute-until",
        type=point_in_time,
        metavar="TIME",
        help="Leave the group out of this list until this date and time, or for this number of "
        "seconds.",
    )
    add("--unmute", action="store_true", help="List the group again.")
    add("--note", metavar="TEXT", help="Write a note about the group, for people.")
    add("--muted", action="store_true", help="List those that are muted, too.")
    add(
        "--limit",
        type=positive_integer,
        default=20,
        metavar="N",
        help="The largest number of groups to list (default: 20).",
    )
    add_json(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    check_reachable()
    _refuse_what_does_not_fit(options)
    try:
        groups, retried = _acted(options)
    except (TypeError, ValueError) as error:
        raise CommandError(str(error), returncode=2) from None
    if options["json"]:
        more = {} if retried is None else retried._asdict()
        print_json(command, [_keyed(one) | more for one in groups])
    elif retried is not None:
        print_line(command, _told(retried))
    else:
        _print(command, groups, is_one=bool(options["group"]))
    if retried and retried.not_applicable:
        raise CommandError(f"Not applicable to {retried.not_applicable} runs.", returncode=1)


def _refuse_what_does_not_fit(options: dict[str, Any]) -> None:
    acts = ("retry", "mute_until", "unmute", "note")
    given = [name for name in acts if options[name] not in (None, False)]
    if given and not options["group"]:
        raise CommandError(f"--{given[0].replace('_', '-')} requires a GROUP.", returncode=2)
    if options["within"] is not None and not options["retry"]:
        raise CommandError("--within requires --retry.", returncode=2)
    if options["mute_until"] is not None and options["unmute"]:
        raise CommandError("--mute-until and --unmute do not go together.", returncode=2)


def _acted(options: dict[str, Any]) -> tuple[list[Seen], Retried | None]:
    """Do what is asked for; return the groups to show, and what a retry has done."""
    name, retried = options["group"], None
    if not name:
        return failure_actions.latest(options["limit"], muted=options["muted"]), None
    failure_actions.group_of(name)
    if options["note"] is not None:
        control.annotate_failures(name, options["note"])
    if options["mute_until"] is not None or options["unmute"]:
        control.mute_failures(name, until=options["mute_until"])
    if options["retry"]:
        within = options["within"]
        retried = control.retry_failures(
            name,
            within=None if within is None else timedelta(seconds=within),
            by=audit.login(),
        )
    return [failure_actions.seen(failure_actions.group_of(name))], retried


def _print(command: BaseCommand, groups: Sequence[Seen], *, is_one: bool) -> None:
    if groups:
        print_table(command, TITLES, map(_row, groups))
    if is_one:
        [seen] = groups
        for title, text in _details(seen.group):
            print_line(command, f"{title}: {text}")
    elif ungrouped := store().count_ungrouped():
        are = "is" if ungrouped == 1 else "are"
        print_line(
            command,
            f"{ungrouped} of the runs that failed last {are} in no group yet. Workers group those "
            "of the last two minutes every half minute, and all others once an hour.",
        )
    elif not groups:
        print_line(command, _why_none())


def _why_none() -> str:
    if failure_actions.latest(1, muted=True):
        return "All groups of failures are muted. --muted lists them, too."
    return "There are no failures."


def _details(group: FailureGroup) -> Sequence[tuple[str, str]]:
    facts = [
        ("Message", group.message),
        ("Example", str(group.sample)),
        ("Last release", group.last_release),
        ("Muted until", f"{group.muted_until or ''}"),
        ("Note", group.note),
    ]
    return [(title, text) for title, text in facts if text]


def _row(seen: Seen) -> tuple[Any, ...]:
    group = seen.group
    return (
        group.fingerprint,
        group.task_path,
        group.exception,
        group.place,
        group.count,
        seen.open_in_words,
        group.first_at,
        group.last_at,
        group.first_release,
    )


def _keyed(seen: Seen) -> dict[str, Any]:
    columns = {name: getattr(seen.group, name) for name in KEYS}
    return {**columns, "open": seen.open, "is_capped": seen.is_capped}


def _told(retried: Retried) -> str:
    runs = f"{retried.retried} run{'' if retried.retried == 1 else 's'}"
    why = f" Not applicable to {retried.not_applicable}: {retried.reason}" if retried.reason else ""
    return f"Retried {runs}.{why}"
