"""``manage.py taskworks retry``: run failed and cancelled runs again."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand

from taskworks.actions import run_actions
from taskworks.management.runs import act_on_each, add_ids

HELP = "Run failed or cancelled runs again, under their ids."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_ids(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    act_on_each(command, options, run_actions.retry)
