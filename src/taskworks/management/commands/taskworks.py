"""``manage.py taskworks``, whose subcommands are listed in ``taskworks.management.subcommands``."""

import argparse
from copy import copy
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from taskworks.logs import visible
from taskworks.management import several_databases
from taskworks.management.errors_first import ErrorsFirst, exit_with_error_first
from taskworks.management.process import replace_closed_output
from taskworks.management.subcommands import SUBCOMMANDS

_parsers: dict[tuple[Any, ...], tuple[CommandParser, dict[str, ErrorsFirst]]] = {}


class Command(BaseCommand):
    help = (
        "Run workers; say what is wrong, and show queues and workers live; enqueue, show, retry, "
        "cancel, delete and move runs, and send them events; list, show, cancel and retry "
        "workflows; pause and clear queues, tasks and limits; drain queues; list, change and "
        "import schedules; list and change limits; list and stop workers; list and retry groups of "
        "failures."
    )
    # The worker runs the checks itself, once it has reached the database, which some of them query.
    requires_system_checks = ()
    subparsers: dict[str, ErrorsFirst]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        replace_closed_output()
        super().__init__(*args, **kwargs)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """
        Return the parser. It is made once: that takes as long as many a command, and tests call
        commands often.
        """
        by_a_person = self._called_from_command_line  # type: ignore[attr-defined] # Django's own
        how = (type(self), prog_name, subcommand, by_a_person, *kwargs.items())
        if how not in _parsers:
            parser = super().create_parser(prog_name, subcommand, **kwargs)
            _parsers[how] = parser, self.subparsers
        parser, self.subparsers = _parsers[how]
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--skip-checks", action="store_true", help="Skip system checks.")
        django_options = [action for action in parser._actions if action.dest != "help"]
        if parser.called_from_command_line:
            parser.error = partial(exit_with_error_first, parser)  # type: ignore[method-assign]
        subparsers = parser.add_subparsers(
            dest="subcommand", required=True, metavar="SUBCOMMAND", parser_class=ErrorsFirst
        )
        self.subparsers = {}
        for name, subcommand in SUBCOMMANDS.items():
            subparser = subparsers.add_parser(
                name, help=subcommand.help, description=subcommand.help
            )
            subparser.add_later(partial(_add_arguments, name, django_options))
            if not parser.called_from_command_line:  # call_command() looks at those of all
                subparser.complete()
            self.subparsers[name] = subparser

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["subcommand"]
        try:
            options |= _validated(options, self.subparsers[name])
            several_databases.run(self, name, SUBCOMMANDS[name].load(), options)
        except CommandError as error:
            if type(error) is CommandError:  # a check's is colored
                error.args = (visible(str(error)),)
            raise


def _add_arguments(name: str, django_options: list[argparse.Action], parser: ErrorsFirst) -> None:
    SUBCOMMANDS[name].load().add_arguments(parser)
    several_databases.add_option(name, parser)
    _accept_here_too(django_options, parser)


def _accept_here_too(actions: list[argparse.Action], subparser: argparse.ArgumentParser) -> None:
    """Accept Django's own options after the subcommand as well as before it."""
    for action in actions:
        again = copy(action)
        again.default = argparse.SUPPRESS  # do not overwrite the value from before the subcommand
        subparser._add_action(again)


def _validated(options: dict[str, Any], subparser: argparse.ArgumentParser) -> dict[str, Any]:
    """Validate keyword arguments of call_command(), which argparse does not see."""
    validated = {}
    for action in subparser._actions:
        value = options.get(action.dest)
        if callable(action.type) and isinstance(value, str | int | float):
            try:
                validated[action.dest] = action.type(str(value))
            except argparse.ArgumentTypeError as error:
                raise CommandError(f"{action.dest}: {error}", returncode=2) from None
            except argparse.ArgumentError as error:
                raise CommandError(str(error), returncode=2) from None
    return validated
