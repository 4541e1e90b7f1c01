"""``manage.py taskworks worker``: execute the runs of a backend."""

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

from taskworks import instruments
from taskworks.actions import limits
from taskworks.conf import nearest
from taskworks.database.shards import using
from taskworks.execution import Attempt, Parked, Postponed, Released, Retried, Snoozed, Suspended
from taskworks.logs import one_line
from taskworks.management import reload
from taskworks.management.argument_types import (
    address,
    database_backend,
    names,
    non_negative_integer,
    positive_integer,
    seconds,
    worker_label,
)
from taskworks.management.process import (
    STOP_SIGNALS,
    flush,
    ignore_signals,
    is_command_line,
    own_command,
    stop_on_signals,
)
from taskworks.management.reach import check_reachable
from taskworks.management.supervision_command import supervise
from taskworks.models import RunState
from taskworks.recording.events import Attempts
from taskworks.schedules.sync import synchronize_if_possible
from taskworks.worker import Observer, Options, Queues, Recycling, Sizes, Worker
from taskworks.worker.default_log import CancellationLog, log_by_default
from taskworks.worker.probes import Probes
from taskworks.worker.supervision.lifeline import Lifeline

UNSUCCESSFUL = (RunState.FAILED, RunState.CANCELLED)
EVERY_QUEUE = ("*",)
EXIT_TIMEOUT = 5.0  # seconds for threads that tasks have started, and for atexit handlers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--backend",
        type=database_backend,
        default="default",
        metavar="ALIAS",
        help="The backend in TASKS whose runs to execute (default: default).",
    )
    add(
        "--queues",
        type=names,
        default=EVERY_QUEUE,
        metavar="NAME,NAME",
        help="The queues to take runs from, or * for all queues (default: *).",
    )
    add(
        "--exclude-queues",
        type=names,
        default=(),
        metavar="NAME,NAME",
        help="Queues to leave to other workers; only with --queues '*'.",
    )
    add(
        "--processes",
        type=positive_integer,
        default=1,
        metavar="N",
        help="The number of worker processes; with more than one, they run under a supervisor "
        "(default: 1).",
    )
    add(
        "--threads",
        type=non_negative_integer,
        default=4,
        metavar="N",
        help="How many functions run at once, in threads (default: 4).",
    )
    add(
        "--async-slots",
        type=non_negative_integer,
        default=100,
        metavar="N",
        help="How many coroutine functions run at once, on one event loop (default: 100).",
    )
    add(
        "--async-connections",
        type=positive_integer,
        default=20,
        metavar="N",
        help="How many coroutine functions have database connections at once; the others wait for "
        "theirs (default: 20).",
    )
    add(
        "--task-processes",
        type=non_negative_integer,
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        metavar="N",
        help="How many tasks with executor='process' run at once, each in a child process, "
        "started when first needed (default: the number of processors, here %(default)s).",
    )
    add(
        "--max-tasks-per-child",
        type=positive_integer,
        metavar="N",
        help="Replace a child process after N runs (default: never).",
    )
    add(
        "--max-memory-per-child",
        type=positive_integer,
        metavar="MIB",
        help="Replace a child process that uses more than this many MiB, after its current run "
        "(default: never).",
    )
    add(
        "--interval",
        type=seconds,
        default=1.0,
        metavar="SECONDS",
        help="The longest pause between two polls of empty queues, where a worker polls "
        "(default: 1).",
    )
    add("--batch", action="store_true", help="Execute everything that is ready, then exit.")
    add(
        "--max-tasks",
        type=positive_integer,
        metavar="N",
        help="Exit after N attempts; with --processes, each process after N of its own.",
    )
    add(
        "--worker-id",
        type=worker_label,
        metavar="LABEL",
        help="The worker's label in the worker_ids of its runs (default: made of host and pid).",
    )
    add(
        "--heartbeat-file",
        default="",
        metavar="FILE",
        help="Write this file as long as the worker lives, for probes with taskworks-health; with "
        "several --processes FILE.1, FILE.2 and so on (default: none).",
    )
    add(
        "--health-port",
        type=address,
        metavar="[HOST:]PORT",
        help="Answer /livez, /readyz and /startupz on this port; with several --processes, the "
        "second on the next one, and so on (default: none).",
    )
    add(
        "--reload",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="Restart when code changes (default: if DEBUG is on, and not with --batch or "
        "several --processes).",
    )


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    """
    Run a worker in this process, or supervise several worker processes.

    Raise CommandError for options that do not go together.
    """
    lifeline = Lifeline.given()
    arguments = _arguments(options)
    if options["processes"] > 1 and not lifeline:
        _warn_of_unknown_queues(command, options)
        supervise(command, options)
    else:
        _work(command, options, arguments, lifeline)


def _work(
    command: BaseCommand, options: dict[str, Any], arguments: Options, lifeline: Lifeline | None
) -> None:
    home = os.getcwd()
    reloads = _reloads(command, options)
    if reloads and reload.is_parent():
        reload.restart_on_changes(STOP_SIGNALS)
    if not lifeline:
        _warn_of_unknown_queues(command, options)
    worker = _worker(command, options, arguments, lifeline)
    with using(options["backend"].database):
        check_reachable(options["backend"].alias)
        if not options.get("skip_checks"):
            command.check()
        synchronize_if_possible()
        limits.synchronize_if_possible()
    if lifeline:
        lifeline.watch(worker.stop)
    is_process = is_command_line(command)
    if is_process:
        stop_on_signals(lifeline.ask_once if lifeline else worker.stop)
        _exempt_from_garbage_collection()
    if reloads:
        reload.work_and_watch(worker)
    else:
        worker.run()
    if is_process:
        _exit(worker, home, lifeline)


def _exempt_from_garbage_collection() -> None:
    """Keep what is loaded by now, which lives as long as the process, out of collections."""
    gc.collect()
    gc.freeze()


def _worker(
    command: BaseCommand, options: dict[str, Any], arguments: Options, lifeline: Lifeline | None
) -> Worker:
    try:
        return Worker(
            options["backend"],
            arguments,
            _observer(command, options),
            lifeline.announce if lifeline else None,
            probes=_probes(options, lifeline),
        )
    except ImproperlyConfigured as error:
        raise CommandError(str(error)) from error


def _probes(options: dict[str, Any], lifeline: Lifeline | None) -> Probes:
    path, given = options["heartbeat_file"] or "", options["health_port"]
    if lifeline and path:
        path = f"{path}.{lifeline.number}"
    if lifeline and given:
        given = (given[0], given[1] + lifeline.number - 1)
    try:
        return Probes(path, given)
    except (OSError, OverflowError) as error:
        raise CommandError(
            f"The worker cannot be probed: --heartbeat-file {path!r}, --health-port "
            f"{given and given[1]}: {error}",
            returncode=2,
        ) from error


def _observer(command: BaseCommand, options: dict[str, Any]) -> Observer | None:
    """Return who tells of this worker beside the log, which a process has from now on."""
    is_silent = options["verbosity"] == 0
    logs_by_default = is_command_line(command) and log_by_default(with_life=is_silent)
    if is_silent:
        return CancellationLog() if logs_by_default else None
    return Narrator(command.stdout, command.style)


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
            "--threads, --async-slots and --task-processes must not all be 0.",
            returncode=2,
        )
    memory = options["max_memory_per_child"]
    return Sizes(
        threads=sizes[0],
        async_slots=sizes[1],
        async_connections=options["async_connections"],
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
            "--exclude-queues can only be used with --queues '*'.",
            returncode=2,
        )
    return Queues(None if "*" in taken else taken, frozenset(excluded))


def _warn_of_unknown_queues(command: BaseCommand, options: dict[str, Any]) -> None:
    alias, known = options["backend"].alias, options["backend"].queues
    for name in (*options["queues"], *options["exclude_queues"]):
        if known and name not in {*known, "*"}:
            command.stderr.write(
                f"Warning: the queue {name!r} is not in TASKS[{alias!r}]['QUEUES']."
                f"{nearest(name, sorted(known))}"
            )


class Narrator(Observer):
    """Prints one line per attempt, and when the worker starts and stops."""

    def __init__(self, out: OutputWrapper, style: Style) -> None:
        self._out, self._style = out, style

    def begins(self, label: str, taken: str) -> None:
        self._print(f"Worker {one_line(label)} started; it takes runs from {taken}.")

    def recorded(self, attempts: Attempts) -> None:
        for attempt in attempts:
            self._print_outcome(attempt)

    def _print_outcome(self, attempt: Attempt) -> None:
        run = attempt.run
        milliseconds = attempt.duration * 1000
        line = (
            f"{attempt.now():%Y-%m-%d %H:%M:%S} {_word(attempt)} {run.called_path} {run.id} "
            f"{milliseconds:.1f} ms"
        )
        line = one_line(line)
        self._print(line if run.state not in UNSUCCESSFUL else self._style.ERROR(line))

    def draining(self, running: int) -> None:
        if not running:
            self._print("Shutting down: no task is running.")
            return
        tasks, them = ("task", "it") if running == 1 else ("tasks", "them")
        self._print(
            f"Shutting down: waiting for {running} running {tasks}. "
            f"Signal again to release {them} now."
        )

    def ended(self, released: int) -> None:
        self._print(f"The worker has stopped{_and_released(released)}.")

    def _print(self, line: str) -> None:
        # A closed terminal, or a name that it cannot show, must not stop the worker.
        with suppress(OSError, ValueError):
            self._out.write(line)
            self._out.flush()


def _word(attempt: Attempt) -> str:  # noqa: PLR0911 - one for each
    """Return the outcome in a word or two."""
    match attempt.outcome:
        case Retried(_, _, delay):
            return f"failed, retry in {delay.total_seconds():.1f} s,"
        case Snoozed(delay):
            return f"snoozed for {delay.total_seconds():.1f} s,"
        case Suspended():
            return "waits for an event,"
        case Postponed(delay):
            return f"postponed for {delay.total_seconds():.1f} s,"
        case Released():
            return "released"
        case Parked():
            return "paused"
        case _:
            return attempt.run.state


def _and_released(runs: int) -> str:
    match runs:
        case 0:
            return ""
        case 1:
            return " and released 1 run"
        case _:
            return f" and released {runs} runs"


def _exit(worker: Worker, home: str, lifeline: Lifeline | None) -> None:
    """
    Let this process exit as every Python process does, but within ``EXIT_TIMEOUT``; at once if a
    task is still executed, because its run may be another worker's by now. If the worker wants
    that, replace this process by a new worker, which ends such a task too.
    """
    if worker.leaves_tasks_behind or worker.wants_restart:
        instruments.flush()
    if worker.wants_restart and worker.options.max_tasks is None:
        flush()
        os.chdir(home)  # a task may have changed the directory
        if lifeline:
            lifeline.pass_on()
        command = own_command()
        os.execv(command[0], command)  # noqa: S606 - this command
    if worker.leaves_tasks_behind or worker.wants_restart:
        _exit_now()
    ignore_signals()
    timer = threading.Timer(EXIT_TIMEOUT, _exit_now)
    timer.daemon = True
    timer.start()


def _exit_now() -> None:
    flush()
    os._exit(0)


def _reloads(command: BaseCommand, options: dict[str, Any]) -> bool:
    if options["reload"] and options["batch"]:
        command.stderr.write("--reload has no effect with --batch.")
    wanted = settings.DEBUG if options["reload"] is None else options["reload"]
    return bool(wanted and not options["batch"] and options["processes"] == 1)
