"""``manage.py taskworks top``: what is wrong, queues and workers, live in the terminal."""

import argparse
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.db import connections

from taskworks import real_time as time
from taskworks.backends.shards import databases
from taskworks.database.answers import said_of
from taskworks.database.shards import using
from taskworks.management.argument_types import seconds
from taskworks.management.output import print_line, print_table
from taskworks.management.queues_command import print_queues
from taskworks.management.queues_shown import QueueShown, queues_shown
from taskworks.management.reach import check_reachable
from taskworks.management.workers_command import TITLES as WORKER_TITLES
from taskworks.management.workers_command import row_of
from taskworks.problems import Findings, look
from taskworks.problems.situation import Situation
from taskworks.store import Store, store
from taskworks.store.census import Working

CLEAR = "\x1b[H\x1b[2J"  # the screen of a terminal
SHORTEST = 0.5  # seconds
MAX_ROWS = 30  # of a table


class Look(NamedTuple):
    """What was seen at a moment."""

    at: datetime
    findings: Findings
    queues: list[QueueShown]
    workers: list[Working]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--interval",
        type=seconds,
        default=2.0,
        metavar="SECONDS",
        help="How long to wait between two looks, 0.5 or more (default: 2).",
    )
    parser.add_argument(
        "--once", action="store_true", help="Look once, as it does where there is no terminal."
    )


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    """Show it until Ctrl-C; an outage of the database is shown, and waited for."""
    known = databases()
    if len(known) == 1:
        check_reachable()
    is_live = command.stdout.isatty() and not options["once"]
    try:
        while True:
            _show(command, known, is_live=is_live)
            if not is_live:
                return
            time.sleep(max(SHORTEST, options["interval"]))
    except KeyboardInterrupt:
        return


def _show(command: BaseCommand, known: Sequence[str], *, is_live: bool) -> None:
    looks = {alias: _seen_or_why_not(alias) for alias in known}
    silent = [one for one in looks.values() if isinstance(one, str)]
    if silent and not is_live and len(silent) == len(looks):
        raise CommandError(" ".join(silent))
    if is_live:
        command.stdout.write(CLEAR, ending="")
    for alias, seen in looks.items():
        if len(looks) > 1:
            print_line(command, f"Database {alias!r}:")
        if isinstance(seen, str):
            print_line(command, seen)
        else:
            _print(command, seen)
    command.stdout.flush()
    if silent and not is_live:
        raise CommandError(" ".join(silent))


def _seen_or_why_not(alias: str) -> Look | str:
    try:
        with using(alias):
            return _look_around(store())
    except DatabaseError as error:
        connections[alias].close()
        return said_of(alias, error)


def _look_around(store: Store) -> Look:
    """Look at everything, with some twenty statements, whose cost has a bound."""
    situation = Situation(store)
    findings = look(store, situation=situation)
    return Look(situation.now, findings, queues_shown(store, situation), situation.workers)


def _print(command: BaseCommand, seen: Look) -> None:
    print_line(command, f"{seen.at:%Y-%m-%d %H:%M:%S}")
    for problem in seen.findings.problems[:MAX_ROWS]:
        print_line(command, f"{problem.severity.upper()} {problem.sentence}")
    for unknown in seen.findings.unknown:
        print_line(command, f"UNKNOWN {unknown.sentence}")
    if not any(seen.findings):
        print_line(command, "Nothing is wrong.")
    print_line(command)
    if seen.queues:
        deepest = sorted(seen.queues, key=lambda queue: -queue.state.ready)[:MAX_ROWS]
        print_queues(command, deepest)
        _say_more(command, len(seen.queues), "queues")
    else:
        print_line(command, "Nothing waits or runs in any queue.")
    print_line(command)
    if seen.workers:
        print_table(command, WORKER_TITLES, map(row_of, seen.workers[:MAX_ROWS]))
        _say_more(command, len(seen.workers), "workers")
    else:
        print_line(command, "No workers are running.")


def _say_more(command: BaseCommand, number: int, of: str) -> None:
    if number > MAX_ROWS:
        print_line(command, f"... and {number - MAX_ROWS} more {of}")
