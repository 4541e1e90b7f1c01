"""``manage.py taskworks status``: count runs, and list the workers."""

import argparse
from collections import defaultdict
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from taskworks.actions import pausing
from taskworks.durations import in_words
from taskworks.logs import visible
from taskworks.management.health_command import problem_keyed
from taskworks.management.output import add_json, print_json, print_line, print_table
from taskworks.management.queue_commands import keyed, names_of
from taskworks.management.reach import check_reachable
from taskworks.models import Pause, RunState
from taskworks.problems import RULES, look
from taskworks.problems.situation import Situation
from taskworks.store import census, store
from taskworks.store.census import Working
from taskworks.store.counting import Counted

RECENT = timedelta(days=1)  # older finished runs are not counted: there may be very many
NEEDS_A_WORKER = 4  # the exit code
# What it says in words of its own: these are not asked for a second time.
TOLD = {"queue_without_worker", "silent_worker", "paused"}
OTHER_RULES = [rule for rule in RULES if rule.id not in TOLD]
TITLES = ("WORKER", "HOST", "PID", "HEARTBEAT", "RUNS IN HAND")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_json(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    check_reachable()
    ready = store().survey()
    tallies = census.tallies(store(), ready, RECENT)
    wait = census.longest_wait(ready)
    workers = census.workers(store())
    pauses = pausing.pauses()
    unattended = census.unattended(tallies, workers, {pause.scope for pause in pauses})
    situation = Situation(store())
    situation.queues, situation.workers, situation.pauses = ready, workers, [*pauses]
    findings = look(store(), rules=OTHER_RULES, situation=situation)
    if options["json"]:
        more = {
            "pauses": [*map(_pause_keyed, pauses)],
            "unattended_queues": [*unattended],
            "problems": [*map(problem_keyed, findings.problems)],
        }
        print_json(command, _keyed(tallies, wait, workers) | more)
    else:
        _print_runs(command, tallies)
        for pause in pauses:
            print_line(command, f"The {pause.scope} is {pause.in_words}")
        print_line(command, _about_waiting(wait))
        for problem in findings.problems:
            print_line(command, f"{problem.severity.upper()} {problem.id}: {problem.sentence}")
        print_line(command)
        _print_workers(command, workers)
    _complain(workers, unattended)


def _keyed(
    tallies: list[Counted], wait: timedelta | None, workers: list[Working]
) -> dict[str, Any]:
    return {
        "runs": [_tally_keyed(tally) for tally in tallies],
        "finished_within_seconds": RECENT.total_seconds(),
        "longest_wait_seconds": None if wait is None else wait.total_seconds(),
        "workers": [
            {
                "id": worker.id,
                "label": worker.label,
                "hostname": worker.hostname,
                "pid": worker.pid,
                "started_at": worker.started_at,
                "heartbeat_at": worker.heartbeat_at,
                "given_up_at": worker.given_up_at,
                "seconds_since_heartbeat": working.silence.total_seconds(),
                "runs_in_hand": working.runs_in_hand,
                "silent": working.is_silent,
            }
            for working in workers
            for worker in [working.worker]
        ],
    }


def _tally_keyed(tally: Counted) -> dict[str, Any]:
    return {
        "backend": tally.backend,
        "queue_name": tally.queue_name,
        "state": tally.state,
        "count": tally.number,
        "is_capped": tally.is_capped,
    }


def _pause_keyed(pause: Pause) -> dict[str, Any]:
    return {**names_of(pause.scope), **keyed(pause)}


def _print_runs(command: BaseCommand, tallies: list[Counted]) -> None:
    if not tallies:
        print_line(
            command, "No runs are waiting or running, and none finished in the last 24 hours."
        )
        return
    counts: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for backend, queue, state, number, is_capped in tallies:
        counts[backend, queue][state] = f"{number}{'+' * is_capped}"
    print_table(
        command,
        ("BACKEND", "QUEUE", *map(str.upper, RunState.values)),
        (
            (*backend_and_queue, *(states.get(state) for state in RunState.values))
            for backend_and_queue, states in counts.items()
        ),
    )
    print_line(command, "Finished runs are counted for the last 24 hours.")
    if any(tally.is_capped for tally in tallies):
        print_line(command, "A number with + is too small: no more than 10,000 runs are counted.")


def _about_waiting(wait: timedelta | None) -> str:
    if wait is None:
        return "No runs are ready."
    return f"The oldest ready run has waited {in_words(wait)}."


def _print_workers(command: BaseCommand, workers: list[Working]) -> None:
    if not workers:
        print_line(command, "No workers are running.")
        return
    print_table(command, TITLES, map(_row, workers))


def _row(working: Working) -> tuple[Any, ...]:
    worker = working.worker
    return worker.label, worker.hostname, worker.pid, working.outlook, working.runs_in_hand


def _complain(workers: list[Working], unattended: dict[str, int]) -> None:
    """End with an exit code of its own if a worker seems dead, or nobody does the work."""
    complaints = [
        f"The worker {visible(working.worker.label)} seems to be dead: {working.outlook}."
        for working in workers
        if working.is_silent
    ]
    if unattended:
        queues = ", ".join(f"{visible(queue)!r} ({count})" for queue, count in unattended.items())
        complaints.append(
            f"No living worker takes these queues, which have runs to execute: {queues}. "
            "Start one: manage.py taskworks worker"
        )
    if complaints:
        raise CommandError("\n".join(complaints), returncode=NEEDS_A_WORKER)
