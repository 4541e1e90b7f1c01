"""``manage.py taskworks show``: show everything about a run."""

import argparse
import json
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand

from taskworks.actions import steps_shown
from taskworks.actions.steps_shown import StepShown
from taskworks.actions.waiting import why_waiting
from taskworks.log_lines import LOGGER, lines_of, messages_of
from taskworks.management.action_commands import find_runs
from taskworks.management.argument_types import run_id
from taskworks.management.output import (
    DETAILS,
    add_json,
    keyed,
    print_json,
    print_line,
    print_lines,
)
from taskworks.management.reach import check_reachable
from taskworks.models import RunState, TaskRun
from taskworks.store import store

PRINTED_LAST = ("messages", "errors")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=run_id, metavar="ID", help="The id of the run, in full.")
    add_json(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    check_reachable()
    [found] = find_runs([options["id"]])
    steps = steps_shown.of(store(), found)
    if options["json"]:
        more = {"why_waiting": why_waiting(found), "steps": [step._asdict() for step in steps]}
        print_json(command, _with_lines_apart(keyed(found, DETAILS)) | more)
    else:
        _print(command, found, steps)


def _print(command: BaseCommand, run: TaskRun, steps: Sequence[StepShown]) -> None:
    for name, value in keyed(run, DETAILS).items():
        printed_here = name not in PRINTED_LAST or isinstance(value, str)  # it cannot be read
        if printed_here and _is_shown(run, name, value):
            print_line(command, f"{name:<20} {_text(value)}")
    if reason := why_waiting(run):
        print_line(command, f"{'why_waiting':<20} {reason}")
    _print_list(command, "steps", [step.in_words for step in steps])
    told = (
        f"{entry['at']} {entry['level']}: {entry['text']}" for entry in messages_of(run.messages)
    )
    _print_list(command, "messages", [*told])
    _print_list(command, "log", [*map(_line, lines_of(run.messages))])
    for entry in run.errors:
        worker = entry["worker_id"] or "no worker"
        print_line(command)
        print_line(command, f"error of attempt {entry['attempt']}, {entry['at']}, {worker}")
        print_lines(command, entry["traceback"].rstrip())


def _print_list(command: BaseCommand, title: str, lines: Sequence[str]) -> None:
    if lines:
        print_lines(command, f"\n{title}")
    for line in lines:
        print_line(command, f"  {line}")


def _with_lines_apart(shown: dict[str, Any]) -> dict[str, Any]:
    entries = shown["messages"]
    if isinstance(entries, str):  # it cannot be read
        return shown | {"log_lines": []}
    return shown | {"messages": messages_of(entries), "log_lines": lines_of(entries)}


def _line(line: dict[str, Any]) -> str:
    attempt = f"attempt {line['attempt']} " if "attempt" in line else ""
    return f"{line['at']} {attempt}{line['level']} {line[LOGGER]}: {line['text']}"


def _is_shown(run: TaskRun, name: str, value: Any) -> bool:
    if name == "return_value":
        return run.state == RunState.SUCCESSFUL
    if name == "called_path":
        return bool(value != run.task_path)
    return value not in (None, [], {})


def _text(value: Any) -> str:
    if isinstance(value, list | dict) or value is None:
        return json.dumps(value, ensure_ascii=False)
    return str(value)
