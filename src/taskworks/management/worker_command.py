"""``manage.py taskworks worker``: run the runs of a backend."""

import argparse
import gc
import os
import threading
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, OutputWrapper
from django.core.management.color import Style

from taskworks.execution import Attempt, Postponed, Released, Retried, Snoozed
from taskworks.management import reload
from taskworks.management.argument_types import (
    at_least_one,
    database_backend,
    names,
    none_or_more,
    seconds,
    worker_label,
)
from taskworks.management.process import (
    STOP_SIGNALS,
    flush,
    ignore_signals,
    its_command,
    stop_on_signals,
)
from taskworks.management.reach import check_reachable
from taskworks.management.supervision_command import supervise
from taskworks.models import RunState
from taskworks.recording.events import Attempts
from taskworks.schedules.sync import synchronise_if_possible
from taskworks.worker import Observer, Options, Queues, Recycling, Sizes, Worker
from taskworks.worker.supervision.lifeline import Lifeline

HELP = "Run a worker: claim runs, execute them, write what became of them."
BAD = (RunState.FAILED, RunState.CANCELLED)
EVERY_QUEUE = ("*",)
EXIT_PATIENCE = 5.0  # seconds for threads that a task has started, and for what runs at exit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--backend",
        type=database_backend,
        default="default",
        metavar="ALIAS",
        help="The backend in TASKS to work for (default: default).",
    )
    add(
        "--queues",
        type=names,
        default=EVERY_QUEUE,
        metavar="NAME,NAME",
        help="The queues to take, or * for every one (default: *).",
    )
    add(
        "--exclude-queues",
        type=names,
        default=(),
        metavar="NAME,NAME",
        help="Queues to leave to others; only with --queues '*'.",
    )
    add(
        "--processes",
        type=at_least_one,
        default=1,
        metavar="N",
        help="How many worker processes there are; a supervisor looks after several (default: 1).",
    )
    add(
        "--threads",
        type=none_or_more,
        default=4,
        metavar="N",
        help="How many functions run at once, in threads (default: 4).",
    )
    add(
        "--async-slots",
        type=none_or_more,
        default=100,
        metavar="N",
        help="How many coroutine functions run at once, on one event loop (default: 100).",
    )
    add(
        "--task-processes",
        type=none_or_more,
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        metavar="N",
        help="How many tasks with executor='process' run at once, each in a child process, begun "
        "when first needed (default: the number of processors, here %(default)s).",
    )
    add(
        "--max-tasks-per-child",
        type=at_least_one,
        metavar="N",
        help="Replace a child process after N runs (default: never).",
    )
    add(
        "--max-memory-per-child",
        type=at_least_one,
        metavar="MIB",
        help="Replace a child process that has grown past so many MiB, after the run that it "
        "executes (default: never).",
    )
    add(
        "--interval",
        type=seconds,
        default=1.0,
        metavar="SECONDS",
        help="The longest pause between two looks at queues that stay empty (default: 1).",
    )
    add("--batch", action="store_true", help="Drain: run all that is ready, then exit.")
    add(
        "--max-tasks",
        type=at_least_one,
        metavar="N",
        help="Exit after N runs, each process after N of its own.",
    )
    add(
        "--worker-id",
        type=worker_label,
        metavar="LABEL",
        help="What the worker is called in its runs' worker_ids (default: made of host and pid).",
    )
    add(
        "--reload",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="Restart when code changes (default: if DEBUG is on, and not with --batch or "
        "several --processes).",
    )


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    """Refuse what does not fit, and work, or have several processes work."""
    lifeline = Lifeline.given()
    arguments = _arguments(options)
    if not lifeline:
        _warn_of_unknown_queues(command, options)
    if options["processes"] > 1 and not lifeline:
        supervise(command, options)
    else:
        _work(command, options, arguments, lifeline)


def _work(
    command: BaseCommand, options: dict[str, Any], arguments: Options, lifeline: Lifeline | None
) -> None:
    home = os.getcwd()
    reloads = _reloads(command, options)
    if reloads and reload.is_parent():
        reload.start_again_and_again(STOP_SIGNALS)
    worker = _worker(command, options, arguments, lifeline)
    check_reachable(options["backend"].alias)
    if not options.get("skip_checks"):
        command.check()
    synchronise_if_possible()
    if lifeline:
        lifeline.watch(worker.stop)
    is_process = getattr(command, "_called_from_command_line", False)  # and no call_command()
    if is_process:
        stop_on_signals(lifeline.ask_once if lifeline else worker.stop)
        _spare_the_collector()
    if reloads:
        reload.work_and_watch(worker)
    else:
        worker.run()
    if is_process:
        _leave(worker, home, lifeline)


def _spare_the_collector() -> None:
    """What is there by now lives as long as the process: no collection need go through it."""
    gc.collect()
    gc.freeze()


def _worker(
    command: BaseCommand, options: dict[str, Any], arguments: Options, lifeline: Lifeline | None
) -> Worker:
    try:
        return Worker(
            options["backend"],
            arguments,
            Narrator(command.stdout, command.style) if options["verbosity"] > 0 else None,
            lifeline.announce if lifeline else None,
        )
    except ImproperlyConfigured as error:
        raise CommandError(str(error)) from error


def _arguments(options: dict[str, Any]) -> Options:
    return Options(
        queues=_queues(options),
        sizes=_sizes(options),
        interval=options["interval"],
        batch=options["batch"],
        max_tasks=options["max_tasks"],
        label=options["worker_id"] or "",
    )


def _sizes(options: dict[str, Any]) -> Sizes:
    sizes = options["threads"], options["async_slots"], options["task_processes"]
    if not any(sizes):
        raise CommandError(
            "A worker needs a place to execute something: --threads, --async-slots and "
            "--task-processes are all 0.",
            returncode=2,
        )
    memory = options["max_memory_per_child"]
    return Sizes(
        threads=sizes[0],
        async_slots=sizes[1],
        task_processes=sizes[2],
        recycling=Recycling(
            max_tasks=options["max_tasks_per_child"],
            max_memory=memory and memory * 1024 * 1024,
        ),
    )


def _queues(options: dict[str, Any]) -> Queues:
    taken, excluded = options["queues"], options["exclude_queues"]
    if excluded and taken != EVERY_QUEUE:
        raise CommandError(
            "--exclude-queues goes with --queues '*' only: a list of queues excludes the others.",
            returncode=2,
        )
    return Queues(None if "*" in taken else taken, frozenset(excluded))


def _warn_of_unknown_queues(command: BaseCommand, options: dict[str, Any]) -> None:
    known = options["backend"].queues
    for name in (*options["queues"], *options["exclude_queues"]):
        if known and name not in {*known, "*"}:
            command.stderr.write(
                f"TASKS[{options['backend'].alias!r}] names no queue {name!r}: {sorted(known)}."
            )


class Narrator(Observer):
    """Prints what a worker tells, a line a run."""

    def __init__(self, out: OutputWrapper, style: Style) -> None:
        self._out, self._style = out, style

    def begins(self, label: str, taken: str) -> None:
        self._print(f"Worker {label} takes {taken}.")

    def settled(self, attempts: Attempts) -> None:
        for attempt in attempts:
            self._print_outcome(attempt)

    def _print_outcome(self, attempt: Attempt) -> None:
        run = attempt.run
        milliseconds = attempt.duration * 1000
        line = (
            f"{attempt.now():%Y-%m-%d %H:%M:%S} {_word(attempt)} {run.called_path} {run.id} "
            f"{milliseconds:.1f} ms"
        )
        self._print(line if run.state not in BAD else self._style.ERROR(line))

    def draining(self, running: int) -> None:
        self._print(f"Stopping: {_runs(running)} may end; a second signal gives back what is left.")

    def ended(self, released: int) -> None:
        given_back = f", and has given back {_runs(released)}" if released else ""
        self._print(f"The worker has stopped{given_back}.")

    def _print(self, line: str) -> None:
        # A terminal that has gone, or a name that it cannot show, is no reason to stop.
        with suppress(OSError, ValueError):
            self._out.write(line)
            self._out.flush()


def _word(attempt: Attempt) -> str:
    """What became of it, in a word."""
    match attempt.outcome:
        case Retried(_, _, delay):
            return f"failed, retried in {delay.total_seconds():.1f} s,"
        case Snoozed(delay) | Postponed(delay):
            return f"put off for {delay.total_seconds():.1f} s"
        case Released():
            return "given back"
        case _:
            return attempt.run.state


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _leave(worker: Worker, home: str, lifeline: Lifeline | None) -> None:
    """
    Exit, without waiting for what tasks have left running in threads; or begin anew, as the same
    process, which ends them.
    """
    if worker.wants_renewal and worker.options.max_tasks is None:
        flush()
        os.chdir(home)  # a task may have gone elsewhere
        if lifeline:
            lifeline.pass_on()
        command = its_command()
        os.execv(command[0], command)  # noqa: S606 - ourselves
    if worker.released or worker.wants_renewal:
        _exit_now()
    ignore_signals()
    patience = threading.Timer(EXIT_PATIENCE, _exit_now)
    patience.daemon = True
    patience.start()


def _exit_now() -> None:
    flush()
    os._exit(0)


def _reloads(command: BaseCommand, options: dict[str, Any]) -> bool:
    if options["reload"] and options["batch"]:
        command.stderr.write("--reload has no effect with --batch.")
    wanted = settings.DEBUG if options["reload"] is None else options["reload"]
    return bool(wanted and not options["batch"] and options["processes"] == 1)
