"""
The subcommands of ``manage.py taskworks``. Each has a module, which is imported when somebody calls
it: a worker that starts has no use for the others.
"""

import argparse
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

from django.core.management.base import BaseCommand


class Implementation(Protocol):
    """What the module of a subcommand has, or an object in it."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments of the subcommand."""

    def run(self, command: BaseCommand, options: dict[str, Any]) -> None:
        """Execute the subcommand."""


@dataclass(frozen=True)
class Subcommand:
    """What a subcommand is for, and where it is implemented: ``module``, or ``module.OBJECT``."""

    where: str
    help: str

    def load(self) -> Implementation:
        """Import it."""
        module, _, name = self.where.partition(".")
        loaded = import_module(f"taskworks.management.{module}")
        return cast(Implementation, getattr(loaded, name) if name else loaded)


SUBCOMMANDS = {
    "worker": Subcommand(
        "worker_command",
        "Run a worker, which claims runs, executes them and records their outcomes.",
    ),
    "prune": Subcommand("prune_command", "Delete runs that finished long ago."),
    "status": Subcommand(
        "status_command",
        "Count the runs of each queue, and list what is paused, and the workers.",
    ),
    "health": Subcommand(
        "health_command",
        "Say what is wrong, in sentences, and what to do about it.",
    ),
    "top": Subcommand(
        "top_command",
        "Show what is wrong, the queues and the workers, again and again.",
    ),
    "queues": Subcommand(
        "queues_command",
        "List the queues: what waits, for how long, how fast it is worked off, and until when.",
    ),
    "list": Subcommand("list_command", "List runs, the newest first."),
    "show": Subcommand("show_command", "Show everything about a run."),
    "run": Subcommand("run_command", "Enqueue a run of a task."),
    "retry": Subcommand(
        "action_commands.RETRY",
        "Run failed or cancelled runs again, under their ids.",
    ),
    "cancel": Subcommand(
        "action_commands.CANCEL",
        "Cancel waiting runs, and stop those that are running.",
    ),
    "run-now": Subcommand("action_commands.RUN_NOW", "Make runs ready that wait for their time."),
    "move-runs": Subcommand(
        "action_commands.MOVE_RUNS",
        "Give runs that wait another queue or another priority.",
    ),
    "delete": Subcommand("action_commands.DELETE", "Delete runs that have ended."),
    "send": Subcommand("send_command", "Send an event to a run, which waits for it now or later."),
    "workflows": Subcommand(
        "workflows_command",
        "List workflows, the newest first, or show, cancel or retry one.",
    ),
    "pause": Subcommand(
        "queue_commands.PAUSE",
        "Keep workers from beginning runs of a queue, a task, a limit or a key.",
    ),
    "resume": Subcommand("queue_commands.RESUME", "End a pause."),
    "clear": Subcommand(
        "queue_commands.CLEAR",
        "Cancel the runs that wait of a queue, a task, a limit or a key.",
    ),
    "drain": Subcommand(
        "queue_commands.DRAIN",
        "Wait until no run of a queue is ready or in hand.",
    ),
    "schedules": Subcommand(
        "schedules_command",
        "List schedules, or enable, disable, run or preview them.",
    ),
    "limits": Subcommand("limits_command", "List limits, or change the numbers of one."),
    "failures": Subcommand(
        "failures_command",
        "List groups of failures, the latest first, or retry, mute or annotate one.",
    ),
    "statistics": Subcommand(
        "statistics_command",
        "Show the recent outcomes of each task's runs, or rebuild statistics from the record.",
    ),
    "mark": Subcommand(
        "mark_command",
        "Mark this moment in the statistics, for example as a deploy.",
    ),
    "workers": Subcommand(
        "workers_command.WORKERS",
        "List the workers: what they take, how busy they are, and what they run.",
    ),
    "stop-worker": Subcommand(
        "workers_command.STOP_WORKER",
        "Have workers end, wherever they run, as by SIGTERM or once their tasks have ended.",
    ),
    "move": Subcommand(
        "move_command",
        "Move runs that wait in django-tasks-db or django-tasks-rq.",
    ),
    "import-schedules": Subcommand(
        "import_schedules_command",
        "Import the schedules of Celery's beat, from its tables and from the settings.",
    ),
}
