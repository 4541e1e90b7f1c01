"""The subcommands of ``manage.py taskworks``: what they take, and the JSON that they print."""

import argparse
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID

from django.core.management import BaseCommand, CommandError, call_command, load_command_class
from django.utils import timezone

from taskworks.models import Worker
from taskworks.schedules import task_with_callable
from tests import tasks
from tests.behavior import run_worker
from tests.rest.offered import Tells
from tests.steps.shelf import waits
from tests.surface.record import common_shape, shape

NOBODY = UUID(int=7)
DJANGOS = ("--settings", "--skip-checks", "--traceback", "--verbosity")
SAMPLES = (
    *("", "0", "1", "2.5", "-1", "99999", "inf", "word", "a,b", "*", "default", "dummy", "ready"),
    *("tests.tasks.noop", "[1]", '{"a": 1}', "2026-11-20T12:30", str(NOBODY)),
)


def observed() -> dict[str, Any]:
    """Return arguments and JSON of each subcommand, and exit codes."""
    command = load_command_class("taskworks", "taskworks")
    parser = command.create_parser("manage.py", "taskworks")
    return {
        "anywhere": _taken_anywhere([parser, *command.subparsers.values()]),
        "arguments": {name: _arguments(one) for name, one in command.subparsers.items()},
        "json": _printed(),
        "exit codes": _exit_codes(),
    }


def _arguments(parser: argparse.ArgumentParser) -> dict[str, Any]:
    theirs = {action.dest for action in BaseCommand().create_parser("", "")._actions}
    return {
        " ".join(action.option_strings) or action.dest: _argument(action)
        for action in parser._actions
        if action.dest not in theirs
    }


def _taken_anywhere(parsers: Iterable[argparse.ArgumentParser]) -> list[str]:
    """Return which of Django's options stand before and after each subcommand."""
    flags = [{flag for one in parser._actions for flag in one.option_strings} for parser in parsers]
    return [flag for flag in DJANGOS if all(flag in some for some in flags)]


def _argument(action: argparse.Action) -> dict[str, Any]:
    given = {
        "dest": action.dest,
        "nargs": action.nargs or None,
        "const": action.const,
        "default": _default(action),
        "metavar": action.metavar,
    }
    shown = {name: value for name, value in given.items() if value not in (None, False)}
    return shown | ({"takes": _accepted(action.type)} if callable(action.type) else {})


def _default(action: argparse.Action) -> Any:
    if action.dest == "task_processes" and action.default == len(os.sched_getaffinity(0)):
        return "the number of processors"
    return action.default


def _accepted(convert: Any) -> list[str] | str:
    """Return the samples that a type takes, whatever it is called."""

    def is_accepted(text: str) -> bool:
        try:
            convert(text)
        except (argparse.ArgumentError, argparse.ArgumentTypeError, ValueError, TypeError):
            return False
        return True

    accepted = [text for text in SAMPLES if is_accepted(text)]
    return accepted if len(accepted) < len(SAMPLES) - 1 else "any word"


def _printed() -> dict[str, Any]:
    failed, successful, told = tasks.fail.enqueue(), tasks.add.enqueue(1, 2), Tells.enqueue()
    stepping = waits.enqueue()
    run_worker()
    waiting = tasks.noop.using(run_after=timedelta(hours=1)).enqueue()
    now = timezone.now()
    stepping.send("early", 1)
    Worker.objects.create(label="w", hostname="h", pid=1, started_at=now, heartbeat_at=now)
    task_with_callable("tests.schedules.bell.noop", "bell", "0 * * * *").save()
    shown = (failed, successful, told, waiting, stepping)
    return {
        "run": _json("run", "tests.tasks.noop"),
        "list": _json("list"),
        "show": common_shape(_json("show", run.id) for run in shown),
        "status": _json("status"),
        "workers": _json("workers"),
        "retry": _json("retry", failed.id, successful.id),
        "cancel": _json("cancel", waiting.id, successful.id),
        "schedules --preview": _json("schedules", "--preview", 1),
        "schedules --disable": _json("schedules", "--disable", "bell"),
    }


def _exit_codes() -> dict[str, int]:
    successful = tasks.noop.enqueue()
    run_worker()
    waits = ("run", "tests.tasks.noop", "--wait", "--timeout")
    return {
        "success": _ends_with("show", successful.id),
        "no such run": _ends_with("show", NOBODY),
        "no such schedule": _ends_with("schedules", "nobody"),
        "not applicable": _ends_with("retry", successful.id),
        "not finished within the timeout": _ends_with(*waits, 0),
    }


def _json(*arguments: object) -> Any:
    """Return the shape of what a subcommand prints, whatever its exit code."""
    output = StringIO()
    with suppress(CommandError):
        call_command("taskworks", *map(str, arguments), "--json", stdout=output)
    return shape(json.loads(output.getvalue()))


def _ends_with(*arguments: object) -> int:
    try:
        call_command("taskworks", *map(str, arguments), stdout=StringIO())
    except CommandError as error:
        return error.returncode
    return 0
