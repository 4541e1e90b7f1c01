"""
``manage.py taskworks retry``, ``cancel``, ``run-now``, ``move-runs`` and ``delete``: act on runs
that are named on the command line, or on all that a filter means.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from taskworks.actions import audit, bulk, changed_retry, run_actions
from taskworks.actions.bulk import Preview
from taskworks.actions.run_actions import Answer, Verdict
from taskworks.actions.verbs import Action, Done, Verb, act_on_one
from taskworks.exceptions import AlreadyEnqueued, InvalidInputs, InvalidTask
from taskworks.filtering import RunFilter
from taskworks.filtering.arguments import meant_by
from taskworks.logs import visible
from taskworks.management.argument_types import integer, run_id
from taskworks.management.exit_codes import INTERRUPTED
from taskworks.management.filter_options import add_filter, filter_of
from taskworks.management.output import (
    SUMMARY,
    add_json,
    keyed,
    print_json,
    print_line,
    print_table,
)
from taskworks.management.progress_bar import ProgressBar
from taskworks.management.questions import confirm, demand_a_reader
from taskworks.management.reach import check_reachable
from taskworks.models import TaskRun
from taskworks.store import store

SHOWN = 10  # tasks, or classes of errors


@dataclass
class RunAction:
    """A subcommand that takes the ids of runs, or a filter, and acts on these runs."""

    verb: Verb
    add_more: Callable[[Any], None] = lambda add: None
    asks: bool = False  # before it acts on all that a filter means

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the ids, the filter, and ``--json``."""
        add = parser.add_argument
        add("ids", type=run_id, nargs="*", metavar="ID", help="The ids of runs, in full.")
        self.add_more(add)
        add_filter(parser)
        add(
            "--dry-run",
            action="store_true",
            help="With a filter: say how many runs it means, and which, and do nothing.",
        )
        if self.asks:
            add("--no-input", action="store_true", help="With a filter: do not ask first.")
        add_json(parser)

    def run(self, command: BaseCommand, options: dict[str, Any]) -> None:
        """
        Act on all named runs, or on none of them if an id is unknown; or on all that the filter
        means. Raise CommandError with exit code 1 if the action was not applicable to a run.
        """
        meant = filter_of(options)
        _refuse_what_does_not_fit(options, meant)
        try:
            action = self._action(options)
            check_reachable()
            if options.get("set"):
                _retry_changed(command, options)
            elif options["ids"]:
                self._act_on_each(command, options, action)
            elif options["dry_run"]:
                _print_preview(command, options, bulk.preview(action, meant))
            else:
                self._act_on_all(command, options, action, meant)
        except (TypeError, ValueError, InvalidInputs, InvalidTask) as error:
            raise CommandError(visible(str(error)), returncode=2) from error

    def _action(self, options: dict[str, Any]) -> Action:
        return Action(self.verb, options.get("to_queue"), options.get("to_priority"))

    def _act_on_each(self, command: BaseCommand, options: dict[str, Any], action: Action) -> None:
        answers = [(run.id, _answer(action, run, options)) for run in find_runs(options["ids"])]
        done = [run_id for run_id, (verdict, _) in answers if verdict != Verdict.NOT_APPLICABLE]
        audit.record_each(audit.login(), str(action), done)
        if options["json"]:
            print_json(command, [_keyed(run_id, answer) for run_id, answer in answers])
        else:
            for run_id, answer in answers:
                print_line(command, f"{run_id} {answer.verdict}. {answer.reason}".rstrip())
        refused = sum(answer.verdict == Verdict.NOT_APPLICABLE for _, answer in answers)
        if refused:
            raise CommandError(f"Not applicable to {refused} of {len(answers)} runs.", returncode=1)

    def _act_on_all(
        self, command: BaseCommand, options: dict[str, Any], action: Action, meant: RunFilter
    ) -> None:
        seen = bulk.preview(action, meant)
        if self.asks and seen.count and not options["no_input"]:
            demand_a_reader(options)
            verb = seen.target.action.verb
            confirm(f"{seen.count_in_words} would be {verb.past}: {seen.target.meant}.", verb.past)
        done = _carried_out(command, options, seen)
        if options["json"]:
            print_json(command, _keyed_done(done))
        elif done == Done():
            print_line(command, "No runs match.")
        else:
            print_line(command, done.in_words(action.verb))
        if done.not_applicable:
            raise CommandError(f"Not applicable to {done.not_applicable} runs.", returncode=1)


def _answer(action: Action, run: TaskRun, options: dict[str, Any]) -> Answer:
    if options.get("fresh"):
        return run_actions.retry(run, fresh=True)
    return act_on_one(action, run)


def _refuse_what_does_not_fit(options: dict[str, Any], meant: RunFilter) -> None:
    if options["ids"] and not meant.is_empty:
        raise CommandError("Give the ids of runs or a filter, not both.", returncode=2)
    if not options["ids"] and meant.is_empty:
        raise CommandError(
            "Say which runs: give their ids, or a filter, such as --state failed --since 2h.",
            returncode=2,
        )
    if options["ids"] and options["dry_run"]:
        raise CommandError("--dry-run goes with a filter.", returncode=2)
    if options.get("fresh") and (not options["ids"] or options.get("set")):
        raise CommandError("--fresh goes with the ids of runs, without --set.", returncode=2)
    if options.get("set") and len(options["ids"]) != 1:
        raise CommandError("--set goes with the id of one run.", returncode=2)


def _carried_out(command: BaseCommand, options: dict[str, Any], seen: Preview) -> Done:
    target, done = seen.target, Done()
    bar = ProgressBar(command.stderr, None if seen.is_capped else seen.count)
    try:
        for some in bulk.act_on_all(target):
            done = done.plus(some)
            bar.show(done.done + done.not_applicable)
    except KeyboardInterrupt:
        said = f"Stopped. {done.in_words(target.action.verb)}"
        raise CommandError(said, returncode=INTERRUPTED) from None
    finally:
        bar.end()
        bulk.record_done(audit.login(), target, done)
    return done


def _print_preview(command: BaseCommand, options: dict[str, Any], seen: Preview) -> None:
    if options["json"]:
        print_json(command, _keyed_preview(seen))
        return
    if not seen.count:
        print_line(command, f"No runs match: {seen.target.meant}.")
        return
    verb = seen.target.action.verb
    print_line(command, f"{seen.count_in_words} would be {verb.past}: {seen.target.meant}.")
    for title, counts in (("TASK", seen.by_task), ("ERROR", seen.by_error)):
        if counts:
            print_line(command)
            print_table(command, ("RUNS", title), [(n, of) for of, n in [*counts.items()][:SHOWN]])
        if len(counts) > SHOWN:
            print_line(command, f"and {len(counts) - SHOWN} more")
    print_line(command)
    rows = [(run.id, run.state, run.called_path, run.queue_name) for run in seen.sample]
    print_table(command, ("SAMPLE", "STATE", "TASK", "QUEUE"), rows)
    print_line(command)
    print_line(command, "Nothing was changed: this was a dry run.")


def _retry_changed(command: BaseCommand, options: dict[str, Any]) -> None:
    [run] = find_runs(options["ids"])
    changes = dict(_change(text) for text in options["set"])
    args, kwargs = changed_retry.changed(run, changes)
    differing = changed_retry.differences(run, args, kwargs)
    try:
        result = changed_retry.retry_with(run, args, kwargs, by=audit.login())
    except AlreadyEnqueued as error:
        raise CommandError(visible(str(error)), returncode=1) from None
    if options["json"]:
        changed = [one._asdict() for one in differing]
        print_json(command, {"id": result.id, "repeats": run.id, "changes": changed})
        return
    print_line(command, f"{result.id} repeats {run.id} with other arguments.")
    for path, before, after in differing:
        print_line(command, f"{path}: {before!r} -> {after!r}")


def _change(text: str) -> tuple[str, Any]:
    path, sign, value = text.partition("=")
    if not sign or not all(path.split(".")):
        raise CommandError(f"--set takes NAME=VALUE, not {text!r}.", returncode=2)
    return path, meant_by(value)


def _add_set_and_fresh(add: Any) -> None:
    add(
        "--fresh",
        action="store_true",
        help="With IDs: forget the steps that they have recorded, and the events sent to them.",
    )
    add(
        "--set",
        action="append",
        metavar="NAME=VALUE",
        help="With one ID: enqueue a new run with this argument changed, in place of a retry. "
        "VALUE is JSON, or else text.",
    )


def _add_where(add: Any) -> None:
    add("--to-queue", metavar="NAME", help="The new queue of the runs.")
    add("--to-priority", type=integer, metavar="N", help="Their new priority, from -100 to 100.")


RETRY = RunAction(Verb.RETRY, _add_set_and_fresh)
CANCEL = RunAction(Verb.CANCEL)
RUN_NOW = RunAction(Verb.RUN_NOW)
MOVE_RUNS = RunAction(Verb.MOVE, _add_where)
DELETE = RunAction(Verb.DELETE, asks=True)


def find_runs(ids: Sequence[UUID]) -> list[TaskRun]:
    """Return the runs with these ids, in this order; raise CommandError if one is unknown."""
    runs = {run_id: store().runs.filter(id=run_id).first() for run_id in dict.fromkeys(ids)}
    unknown = [str(run_id) for run_id, run in runs.items() if run is None]
    if unknown:
        raise CommandError(f"There is no run with the id {' or '.join(unknown)}.", returncode=2)
    return [run for run in runs.values() if run]


# The JSON keys are public: do not rename them.


def _keyed(run_id: UUID, answer: Answer) -> dict[str, Any]:
    return {"id": run_id, "verdict": answer.verdict, "reason": answer.reason or None}


def _keyed_done(done: Done) -> dict[str, Any]:
    return {
        "done": done.done,
        "asked_to_stop": done.asked,
        "not_applicable": done.not_applicable,
        "reason": done.reason or None,
    }


def _keyed_preview(seen: Preview) -> dict[str, Any]:
    runs = store().runs.in_bulk([run.id for run in seen.sample])
    return {
        "count": seen.count,
        "is_capped": seen.is_capped,
        "by_task": seen.by_task,
        "by_error": seen.by_error,
        "sample": [keyed(runs[run.id], SUMMARY) for run in seen.sample if run.id in runs],
    }
