"""``manage.py taskworks cancel``: cancel runs, or ask their workers to."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand

from taskworks.actions import run_actions
from taskworks.management.runs import act_on_each, add_ids

HELP = "Cancel runs that wait; have those that are executed stopped."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_ids(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    act_on_each(command, options, run_actions.cancel)
