"""``manage.py taskworks run``: enqueue a run of a task, and optionally wait for it."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from taskworks.exceptions import AlreadyEnqueued, InvalidTask
from taskworks.framework import TaskResult, TaskResultStatus
from taskworks.management.argument_types import (
    integer,
    json_list,
    json_object,
    point_in_time,
    seconds,
    task,
)
from taskworks.management.exit_codes import INTERRUPTED, TIMED_OUT
from taskworks.management.output import add_json, print_json, print_line
from taskworks.management.reach import check_reachable
from taskworks.result import wait_for
from taskworks.tracebacks import summary_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "task",
        type=task,
        metavar="PATH",
        help="The path of the task, such as shop.tasks.count_words.",
    )
    add(
        "--args",
        dest="positional",
        type=json_list,
        default=[],
        metavar="JSON",
        help="The positional arguments, as a JSON array (default: none).",
    )
    add(
        "--kwargs",
        dest="keywords",
        type=json_object,
        default={},
        metavar="JSON",
        help="The keyword arguments, as a JSON object (default: none).",
    )
    add("--queue-name", metavar="NAME", help="The queue (default: the task's).")
    add(
        "--priority",
        type=integer,
        metavar="N",
        help="From -100 to 100; larger numbers run first (default: the task's).",
    )
    add(
        "--run-after",
        type=point_in_time,
        metavar="TIME",
        help="Do not run before this date and time, or this number of seconds from now (default: "
        "run at once).",
    )
    add("--wait", action="store_true", help="Wait until the run has finished.")
    add(
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        help="With --wait: the longest time to wait (default: no limit).",
    )
    add_json(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    if options["timeout"] is not None and not options["wait"]:
        raise CommandError("--timeout requires --wait.", returncode=2)
    check_reachable()
    result = _enqueue(options)
    if not options["json"]:
        is_new = getattr(result, "is_new", True) is not False
        print_line(command, f"{result.id} {'enqueued' if is_new else 'was enqueued before'}.")
    if options["wait"]:
        _wait(result, options["timeout"])
    if options["json"]:
        print_json(command, _keyed(result))
    if options["wait"]:
        _report_outcome(command, options, result)


def _enqueue(options: dict[str, Any]) -> TaskResult:
    names = ("queue_name", "priority", "run_after")
    changes = {name: options[name] for name in names if options[name] is not None}
    try:
        task = options["task"].using(**changes) if changes else options["task"]
        enqueued: TaskResult = task.enqueue(*options["positional"], **options["keywords"])
    except (AlreadyEnqueued, InvalidTask, TypeError, ValueError) as error:
        raise CommandError(str(error), returncode=2) from error
    return enqueued


def _wait(result: TaskResult, timeout: float | None) -> None:
    try:
        wait_for([result], timeout)  # type: ignore[list-item]
    except TimeoutError:
        raise CommandError(
            f"Run {result.id} has not finished after {timeout:g} s. It continues.",
            returncode=TIMED_OUT,
        ) from None
    except KeyboardInterrupt:
        raise CommandError(
            f"Stopped waiting for run {result.id}. It continues.", returncode=INTERRUPTED
        ) from None


def _report_outcome(command: BaseCommand, options: dict[str, Any], result: TaskResult) -> None:
    if result.status == TaskResultStatus.SUCCESSFUL:
        if not options["json"]:
            print_line(command, f"{result.id} successful: {result.return_value!r}")
        return
    ended = "was cancelled" if getattr(result, "is_cancelled", False) else "failed"
    why = [summary_of(error.exception_class_path, error.traceback) for error in result.errors[-1:]]
    raise CommandError(": ".join([f"Run {result.id} {ended}", *why]), returncode=1)


def _keyed(result: TaskResult) -> dict[str, Any]:
    successful = result.status == TaskResultStatus.SUCCESSFUL
    return {
        "id": result.id,
        "task_path": result.task.module_path,
        "backend": result.backend,
        "queue_name": result.task.queue_name,
        "priority": result.task.priority,
        "status": result.status,
        "attempts": result.attempts,
        "enqueued_at": result.enqueued_at,
        "started_at": result.started_at,
        "finished_at": result.finished_at,
        "return_value": result.return_value if successful else None,
        "errors": [
            {"exception_class_path": error.exception_class_path, "traceback": error.traceback}
            for error in result.errors
        ],
    }
