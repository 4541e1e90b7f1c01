"""
Subcommands where several databases have runs: each is executed where what it names is, or else in
one database after another. One that does not answer keeps nobody from the others.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import Any, NamedTuple

from django.core.management.base import BaseCommand, CommandError, OutputWrapper
from django.db import Error as DatabaseError
from django.db.models import Model

from taskworks.backends.shards import databases, databases_of_backends
from taskworks.conf import nearest
from taskworks.database.answers import said_of
from taskworks.database.shards import using
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS
from taskworks.management.exit_codes import INTERRUPTED
from taskworks.management.output import print_json, print_line
from taskworks.management.subcommands import Implementation
from taskworks.models import FailureGroup, Limit, Schedule, TaskRun, Worker, Workflow
from taskworks.store import alias_for


class Named(NamedTuple):
    """What an argument names: rows of a model, by a column."""

    argument: str
    model: type[Model]
    column: str
    is_in_one: bool = True  # not more: then one that does not answer may have it, too


RUNS, RUN = Named("ids", TaskRun, "id"), Named("id", TaskRun, "id")
NAMED = {
    "show": RUN,
    "send": RUN,
    "retry": RUNS,
    "cancel": RUNS,
    "run-now": RUNS,
    "move-runs": RUNS,
    "delete": RUNS,
    "workflows": Named("id", Workflow, "id"),
    "schedules": Named("labels", Schedule, "label"),
    "failures": Named("group", FailureGroup, "fingerprint", is_in_one=False),
    "limits": Named("name", Limit, "name", is_in_one=False),
    "stop-worker": Named("ids", Worker, "id"),
}
OF_A_QUEUE = {"pause", "resume", "clear", "drain"}
# They know themselves which databases they need.
BY_THEMSELVES = {"worker", "top", "import-schedules"}
OPTION = "--database"
Part = tuple[str, dict[str, Any]]  # a database, and the options with what is named there


def add_option(name: str, parser: argparse.ArgumentParser) -> None:
    """Add ``--database`` to a subcommand that would otherwise look into all of them."""
    if name not in BY_THEMSELVES:
        parser.add_argument(
            OPTION,
            metavar="ALIAS",
            help="Where several databases have runs: only this one (default: where what is named "
            "is, or else one after another).",
        )


def run(
    command: BaseCommand, name: str, subcommand: Implementation, options: dict[str, Any]
) -> None:
    """Execute a subcommand; raise CommandError if it could not be executed everywhere."""
    if name in BY_THEMSELVES:
        subcommand.run(command, options)
        return
    parts = _parts(name, options)
    if len(parts) == 1:
        [(alias, chosen)] = parts
        with using(alias):
            subcommand.run(command, chosen)
    elif options.get("json"):
        _run_for_json(command, subcommand, parts)
    else:
        _run_for_people(command, subcommand, parts)


# Where.


def _parts(name: str, options: dict[str, Any]) -> list[Part]:
    if (given := options.get("database")) is not None:
        return [(_known(given), options)]
    known = databases()
    if len(known) == 1:
        return [(known[0], options)]
    if name == "run":  # once, also for a backend that stores no runs
        return [(alias_for(options["task"].backend), options)]
    if backends := _backends(name, options):
        return [(alias, options) for alias in databases_of_backends(backends)]
    named = NAMED.get(name)
    if named and (values := _values(options.get(named.argument))):
        return _found(known, named, values, options)
    if options.get("after") is not None:
        raise CommandError(f"--after requires {OPTION}.", returncode=2)
    return [(alias, options) for alias in known]


def _known(alias: str) -> str:
    if alias not in (known := databases()):
        raise CommandError(
            f"{OPTION}: no backend in TASKS has its runs in the database {alias!r}."
            f"{nearest(alias, known)}",
            returncode=2,
        )
    return alias


def _backends(name: str, options: Mapping[str, Any]) -> list[str]:
    """Return the backends that are named, or that of the queue."""
    given = _values(options.get("backend"))
    if not given and name in OF_A_QUEUE and options["queue"]:
        return [DEFAULT_TASK_BACKEND_ALIAS]
    return [getattr(backend, "alias", backend) for backend in given]


def _values(given: Any) -> list[Any]:
    return [*given] if isinstance(given, list | tuple) else [given] if given else []


def _found(
    known: Sequence[str], named: Named, values: Sequence[Any], options: dict[str, Any]
) -> list[Part]:
    """Return which of these each database has. What none has is refused by the first."""
    found, failing = dict[str, list[Any]](), dict[str, DatabaseError]()
    for alias in known:
        try:
            found[alias] = _there(alias, named, values)
        except DatabaseError as error:
            failing[alias] = error
    left = [value for value in values if not any(value in here for here in found.values())]
    if left and failing:
        said = " ".join(said_of(alias, error) for alias, error in failing.items())
        raise CommandError(f"No other database has {' or '.join(map(str, left))}. {said}")
    if not named.is_in_one:
        found |= {alias: [*values] for alias in failing}
    return [
        (alias, options | {named.argument: _as_given(options[named.argument], some)})
        for alias, some in ({known[0]: left} if left else found).items()
        if some
    ]


def _there(alias: str, named: Named, values: Sequence[Any]) -> list[Any]:
    rows = named.model._base_manager.using(alias).filter(**{f"{named.column}__in": values})
    found = {*rows.values_list(named.column, flat=True)}
    return [value for value in values if value in found]


def _as_given(given: Any, some: list[Any]) -> Any:
    return some if isinstance(given, list | tuple) else some[0]


# One after another.


def _run_for_people(
    command: BaseCommand, subcommand: Implementation, parts: Sequence[Part]
) -> None:
    errors = dict[str, CommandError]()
    for place, (alias, options) in enumerate(_in_turn(parts, errors)):
        if place:
            print_line(command)
        print_line(command, f"Database {alias!r}:")
        if error := _error_of(command, subcommand, alias, options):
            errors[alias] = error
    _raise_together(errors)


def _run_for_json(command: BaseCommand, subcommand: Implementation, parts: Sequence[Part]) -> None:
    documents, errors = dict[str, Any](), dict[str, CommandError]()
    for alias, options in _in_turn(parts, errors):
        with _kept_output(command) as text:
            if error := _error_of(command, subcommand, alias, options):
                errors[alias] = error
        written = text.getvalue()
        documents[alias] = json.loads(written) if written else {"error": str(errors.get(alias))}
    print_json(command, {"databases": documents})
    _raise_together(errors)


def _in_turn(parts: Sequence[Part], errors: dict[str, CommandError]) -> Iterator[Part]:
    """Yield these; once Ctrl-C has stopped one, note of each of the others that it is not begun."""
    for alias, options in parts:
        if any(error.returncode == INTERRUPTED for error in errors.values()):
            errors[alias] = CommandError("Not begun.", returncode=INTERRUPTED)
        else:
            yield alias, options


def _error_of(
    command: BaseCommand, subcommand: Implementation, alias: str, options: dict[str, Any]
) -> CommandError | None:
    try:
        with using(alias):
            subcommand.run(command, options)
    except CommandError as error:
        return error
    except DatabaseError as error:
        return CommandError(said_of(alias, error))
    return None


@contextmanager
def _kept_output(command: BaseCommand) -> Any:
    """Give what the command writes in this block, instead of writing it."""
    stdout, text = command.stdout, StringIO()
    command.stdout = OutputWrapper(text)
    try:
        yield text
    finally:
        command.stdout = stdout


def _raise_together(errors: Mapping[str, CommandError]) -> None:
    """Raise CommandError with all of these errors, and the exit code that says most."""
    if errors:
        told = " ".join(f"{alias}: {error}" for alias, error in errors.items())
        codes = {error.returncode for error in errors.values()}
        raise CommandError(told, returncode=INTERRUPTED if INTERRUPTED in codes else min(codes))
