"""Runs that are named on the command line: found, and acted on one by one."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from taskworks.actions.run_actions import Answer, Verdict
from taskworks.management.argument_types import run_id
from taskworks.management.output import add_json, print_json, print_line
from taskworks.management.reach import check_reachable
from taskworks.models import TaskRun
from taskworks.store import store


def add_ids(parser: argparse.ArgumentParser) -> None:
    """Add what an action takes."""
    parser.add_argument("ids", type=run_id, nargs="+", metavar="ID", help="The runs, by whole ids.")
    add_json(parser)


def found(ids: Sequence[UUID]) -> list[TaskRun]:
    """The runs with these ids, in this order; raise CommandError if one is unknown."""
    runs = {run_id: store().runs.filter(id=run_id).first() for run_id in dict.fromkeys(ids)}
    unknown = [str(run_id) for run_id, run in runs.items() if run is None]
    if unknown:
        raise CommandError(f"No run has the id {', nor '.join(unknown)}.", returncode=2)
    return [run for run in runs.values() if run]


def act_on_each(
    command: BaseCommand, options: dict[str, Any], act: Callable[[TaskRun], Answer]
) -> None:
    """
    Act on all runs named, or, if one is unknown, on none; print what came of each, and raise
    CommandError with exit code 1 if it was not applicable to one.
    """
    check_reachable()
    answers = [(run.id, act(run)) for run in found(options["ids"])]
    if options["json"]:
        print_json(command, [_keyed(run_id, answer) for run_id, answer in answers])
    else:
        for run_id, answer in answers:
            print_line(command, f"{run_id} {answer.verdict}. {answer.reason}".rstrip())
    refused = sum(answer.verdict == Verdict.NOT_APPLICABLE for _, answer in answers)
    if refused:
        raise CommandError(f"Not applicable to {refused} of {len(answers)} runs.", returncode=1)


def _keyed(run_id: UUID, answer: Answer) -> dict[str, Any]:
    return {"id": run_id, "verdict": answer.verdict, "reason": answer.reason or None}
