"""The parser of a subcommand, whose errors come first, before a usage of one line."""

import argparse
import json
import shlex
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from django.core.management.base import CommandError, CommandParser

from taskworks.conf import close_to


class ErrorsFirst(CommandParser):
    """
    The parser of a subcommand, which refuses what it does not know. It gets its arguments when it
    is used: the module that adds them is not imported before.
    """

    _add_arguments: Callable[["ErrorsFirst"], None] | None = None

    def add_later(self, add_arguments: Callable[["ErrorsFirst"], None]) -> None:
        """Call this once there is something to parse."""
        self._add_arguments = add_arguments

    def complete(self) -> None:
        """Add the arguments now, unless they are there."""
        add_arguments, self._add_arguments = self._add_arguments, None
        if add_arguments:
            add_arguments(self)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse all arguments, or end with an error."""
        self.complete()
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}.{self._hint(unknown)}")
        return known, unknown

    def error(self, message: str) -> NoReturn:
        """Print the error and a short usage, and exit; raise CommandError in call_command()."""
        if self.called_from_command_line:
            exit_with_error_first(self, message)
        raise CommandError(f"Error: {message}")

    def _hint(self, unknown: Sequence[str]) -> str:
        options = [name for action in self._actions for name in action.option_strings]
        if "--args" in options and not any(given.startswith("-") for given in unknown):
            return f" A task's arguments go into --args {shlex.quote(json.dumps(unknown))}."
        return close_to(unknown[0].partition("=")[0], options)


def exit_with_error_first(parser: argparse.ArgumentParser, message: str) -> NoReturn:
    """Print the error, how to call the command, and where all of its arguments are listed."""
    usage = argparse.HelpFormatter(f"{parser.prog} [options]")
    usage.add_usage(None, [a for a in parser._actions if not a.option_strings], [])
    parser.exit(
        2,
        f"{parser.prog}: error: {message}\n"
        f"{usage.format_help().rstrip()}\n"
        f"'{parser.prog} --help' lists the options.\n",
    )
