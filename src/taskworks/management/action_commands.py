"""``manage.py taskworks retry`` and ``cancel``: act on each run named on the command line."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from taskworks.actions import run_actions
from taskworks.actions.run_actions import Answer, Verdict
from taskworks.management.argument_types import run_id
from taskworks.management.output import add_json, print_json, print_line
from taskworks.management.reach import check_reachable
from taskworks.models import TaskRun
from taskworks.store import store


@dataclass
class RunAction:
    """A subcommand that takes the ids of runs and acts on each of them."""

    HELP: str
    act: Callable[..., Answer]
    can_be_fresh: bool = False

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the ids and ``--json``."""
        parser.add_argument(
            "ids", type=run_id, nargs="+", metavar="ID", help="The ids of the runs, in full."
        )
        if self.can_be_fresh:
            parser.add_argument(
                "--fresh",
                action="store_true",
                help="Forget the steps that they have recorded, and the events sent to them.",
            )
        add_json(parser)

    def run(self, command: BaseCommand, options: dict[str, Any]) -> None:
        """
        Act on all named runs, or on none of them if an id is unknown, and print each verdict.

        Raise CommandError with exit code 1 if the action was not applicable to a run.
        """
        check_reachable()
        how = {"fresh": options["fresh"]} if self.can_be_fresh else {}
        answers = [(run.id, self.act(run, **how)) for run in find_runs(options["ids"])]
        if options["json"]:
            print_json(command, [_keyed(run_id, answer) for run_id, answer in answers])
        else:
            for run_id, answer in answers:
                print_line(command, f"{run_id} {answer.verdict}. {answer.reason}".rstrip())
        refused = sum(answer.verdict == Verdict.NOT_APPLICABLE for _, answer in answers)
        if refused:
            raise CommandError(f"Not applicable to {refused} of {len(answers)} runs.", returncode=1)


RETRY = RunAction(
    "Run failed or cancelled runs again, under their ids.", run_actions.retry, can_be_fresh=True
)
CANCEL = RunAction("Cancel waiting runs, and stop those that are running.", run_actions.cancel)


def find_runs(ids: Sequence[UUID]) -> list[TaskRun]:
    """Return the runs with these ids, in this order; raise CommandError if one is unknown."""
    runs = {run_id: store().runs.filter(id=run_id).first() for run_id in dict.fromkeys(ids)}
    unknown = [str(run_id) for run_id, run in runs.items() if run is None]
    if unknown:
        raise CommandError(f"There is no run with the id {' or '.join(unknown)}.", returncode=2)
    return [run for run in runs.values() if run]


def _keyed(run_id: UUID, answer: Answer) -> dict[str, Any]:
    return {"id": run_id, "verdict": answer.verdict, "reason": answer.reason or None}
