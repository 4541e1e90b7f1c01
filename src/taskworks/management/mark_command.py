"""``manage.py taskworks mark``: mark a moment, such as a deploy, in charts."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from taskworks.management.output import add_json, print_json, print_line
from taskworks.management.reach import check_reachable
from taskworks.sentences import moment_in_words
from taskworks.statistics.marks import mark
from taskworks.store import store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("label", metavar="LABEL", help="What has happened, such as 'v12'.")
    add_json(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    check_reachable()
    try:
        made = mark(store(), options["label"])
    except ValueError as error:
        raise CommandError(str(error), returncode=2) from None
    if options["json"]:
        print_json(command, {"label": made.label, "at": made.at})
    else:
        print_line(command, f"Marked {made.label!r} at {moment_in_words(made.at)}")
