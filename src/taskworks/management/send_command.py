"""``manage.py taskworks send``: send an event to a run that waits for it, or will."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from taskworks.actions import run_actions
from taskworks.actions.run_actions import Verdict
from taskworks.management.action_commands import find_runs
from taskworks.management.argument_types import json_value, run_id
from taskworks.management.output import add_json, print_json, print_line
from taskworks.management.reach import check_reachable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=run_id, metavar="RUN", help="The id of the run, in full.")
    parser.add_argument("name", metavar="NAME", help="The name of the event.")
    parser.add_argument(
        "payload",
        type=json_value,
        nargs="?",
        metavar="PAYLOAD",
        help="The value of the event, as JSON (default: null).",
    )
    add_json(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    check_reachable()
    [found] = find_runs([options["id"]])
    try:
        verdict, reason = run_actions.send(found, options["name"], options["payload"])
    except (TypeError, ValueError) as error:
        raise CommandError(str(error), returncode=2) from None
    if options["json"]:
        print_json(command, {"id": found.id, "verdict": verdict, "reason": reason or None})
    else:
        print_line(command, f"{found.id} {verdict}. {reason}".rstrip())
    if verdict == Verdict.NOT_APPLICABLE:
        raise CommandError(f"Not sent to {found.id}.", returncode=1)
