"""``manage.py taskworks``: the one command, a module a subcommand."""

import argparse
from copy import copy
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from taskworks.management import (
    cancel_command,
    list_command,
    prune_command,
    retry_command,
    run_command,
    schedules_command,
    show_command,
    status_command,
    worker_command,
)

SUBCOMMANDS = {
    "worker": worker_command,
    "prune": prune_command,
    "status": status_command,
    "list": list_command,
    "show": show_command,
    "run": run_command,
    "retry": retry_command,
    "cancel": cancel_command,
    "schedules": schedules_command,
}


class Command(BaseCommand):
    help = "Background work: run a worker, look at runs, enqueue, retry, cancel and delete them."
    # A worker checks the system when it has found the database, which some checks ask.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--skip-checks", action="store_true", help="Skip system checks.")
        django_options = [action for action in parser._actions if action.dest != "help"]
        subparsers = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
        self.subparsers = {}
        for name, module in SUBCOMMANDS.items():
            subparser = subparsers.add_parser(name, help=module.HELP, description=module.HELP)
            module.add_arguments(subparser)
            _take_here_too(django_options, subparser)
            self.subparsers[name] = subparser

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["subcommand"]
        SUBCOMMANDS[name].run(self, options | _typed(options, self.subparsers[name]))


def _take_here_too(actions: list[argparse.Action], subparser: argparse.ArgumentParser) -> None:
    """Take Django's own options after the subcommand as well as before it."""
    for action in actions:
        again = copy(action)
        again.default = argparse.SUPPRESS  # or it would undo what stood before
        subparser._add_action(again)


def _typed(options: dict[str, Any], subparser: argparse.ArgumentParser) -> dict[str, Any]:
    """What call_command() was given by keyword, which argparse has not seen, checked alike."""
    typed = {}
    for action in subparser._actions:
        value = options.get(action.dest)
        if callable(action.type) and isinstance(value, str | int | float):
            try:
                typed[action.dest] = action.type(str(value))
            except argparse.ArgumentTypeError as error:
                raise CommandError(f"{action.dest}: {error}", returncode=2) from None
    return typed
