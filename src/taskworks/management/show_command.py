"""``manage.py taskworks show``: everything about a run."""

import argparse
import json
from typing import Any

from django.core.management.base import BaseCommand

from taskworks.management.argument_types import run_id
from taskworks.management.output import (
    DETAILS,
    add_json,
    keyed,
    print_json,
    print_line,
)
from taskworks.management.reach import check_reachable
from taskworks.management.runs import found
from taskworks.models import RunState, TaskRun

HELP = "Show everything about a run."
LISTS = ("messages", "errors")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=run_id, metavar="ID", help="The run, by its whole id.")
    add_json(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    check_reachable()
    [found_run] = found([options["id"]])
    if options["json"]:
        print_json(command, keyed(found_run, DETAILS))
    else:
        _print(command, found_run)


def _print(command: BaseCommand, run: TaskRun) -> None:
    for name, value in keyed(run, DETAILS).items():
        if name not in LISTS and _says_something(run, name, value):
            print_line(command, f"{name:<20} {_text(value)}")
    if run.messages:
        print_line(command, "\nmessages")
    for entry in run.messages:
        print_line(command, f"  {entry['at']} {entry['level']}: {entry['text']}")
    for entry in run.errors:
        worker = entry["worker_id"] or "no worker"
        print_line(command, f"\nerror of attempt {entry['attempt']}, {entry['at']}, {worker}")
        print_line(command, entry["traceback"].rstrip())


def _says_something(run: TaskRun, name: str, value: Any) -> bool:
    if name == "return_value":
        return run.state == RunState.SUCCESSFUL
    if name == "called_path":
        return bool(value != run.task_path)
    return value not in (None, [], {})


def _text(value: Any) -> str:
    if isinstance(value, list | dict) or value is None:
        return json.dumps(value, ensure_ascii=False)
    return str(value)
