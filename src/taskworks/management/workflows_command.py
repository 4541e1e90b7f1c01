"""``manage.py taskworks workflows``: list workflows, or show, cancel or retry one."""

import argparse
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from taskworks.actions import workflow_actions, workflows_shown
from taskworks.actions.run_actions import Verdict
from taskworks.actions.workflows_shown import Counts, StepShown, WorkflowShown
from taskworks.management.argument_types import positive_integer, workflow_id, workflow_status
from taskworks.management.output import add_json, print_json, print_line, print_table
from taskworks.management.reach import check_reachable
from taskworks.models import Workflow
from taskworks.store import store
from taskworks.workflows.workflow_result import status_of_row

TITLES = ("ID", "NAME", "STATUS", "PROGRESS", "CREATED", "FINISHED")
STEP_TITLES = ("STEP", "STATE", "PROGRESS", "WAITS FOR")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "id",
        nargs="?",
        type=workflow_id,
        metavar="ID",
        help="The id of a workflow, in full (default: list all).",
    )
    add("--name", metavar="NAME", help="List only workflows with this name.")
    add("--status", type=workflow_status, metavar="STATUS", help="List only those in this status.")
    add(
        "--limit",
        type=positive_integer,
        default=20,
        metavar="N",
        help="The largest number of workflows to list (default: 20).",
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument(
        "--cancel",
        action="store_true",
        help="Cancel the runs of the workflow that wait, and stop those that are running.",
    )
    action.add_argument(
        "--retry",
        action="store_true",
        help="Execute the runs of the workflow again that have failed or were cancelled.",
    )
    add(
        "--from",
        dest="from_step",
        metavar="STEP",
        help="With --retry: only those of this step, and of the steps that follow it.",
    )
    add("--again", action="store_true", help="With --retry: also those that were successful.")
    add_json(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    _refuse_what_does_not_fit(options)
    check_reachable()
    if options["id"] is None:
        _list(command, options)
    elif options["cancel"] or options["retry"]:
        _act(command, options, _found(options["id"]))
    else:
        _show(command, options, workflows_shown.shown(store(), _found(options["id"])))


def _refuse_what_does_not_fit(options: dict[str, Any]) -> None:
    acts = [name for name in ("cancel", "retry") if options[name]]
    if acts and options["id"] is None:
        raise CommandError(f"--{acts[0]} requires the ID of a workflow.", returncode=2)
    for option, name in (("from_step", "--from"), ("again", "--again")):
        if options[option] not in (None, False) and not options["retry"]:
            raise CommandError(f"{name} requires --retry.", returncode=2)
    for option in ("name", "status"):
        if options[option] is not None and options["id"] is not None:
            raise CommandError(f"--{option} is for a list, without an ID.", returncode=2)


def _found(id_: Any) -> Workflow:
    row = store().workflows.filter(id=id_).first()
    if row is None:
        raise CommandError(f"There is no workflow with the id {id_}.", returncode=2)
    return row


# The list.


def _list(command: BaseCommand, options: dict[str, Any]) -> None:
    rows = _chosen(options)
    counts = workflows_shown.counts_of_unfinished(store(), rows)
    if options["json"]:
        print_json(command, [_keyed(row, counts.get(row.id)) for row in rows])
    elif rows:
        print_table(command, TITLES, [_row(row, counts.get(row.id)) for row in rows])
    else:
        print_line(command, "No workflows match.")


def _chosen(options: dict[str, Any]) -> list[Workflow]:
    rows = store().workflows.filter(parent=None)
    if options["name"] is not None:
        rows = rows.filter(name=options["name"])
    if options["status"] is not None:
        rows = rows.filter(**workflows_shown.lookups_of(options["status"]))
    return [*rows.order_by("-id")[: options["limit"]]]


def _row(row: Workflow, counts: Counts | None) -> tuple[Any, ...]:
    progress = None if counts is None else workflows_shown.progress_of(counts).in_words
    status = status_of_row(row)
    return (row.id, row.name, status, progress, row.created_at, row.finished_at)


def _keyed(row: Workflow, counts: Counts | None) -> dict[str, Any]:
    """Return a workflow for JSON. The keys are public: do not rename them."""
    progress = None if counts is None else workflows_shown.progress_of(counts)
    return {
        "id": row.id,
        "name": row.name,
        "status": status_of_row(row),
        "backend": row.backend,
        "owner": row.owner,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
        "counts": counts,
        "ended": progress and progress.ended,
        "total": progress and progress.total,
    }


# One workflow.


def _show(command: BaseCommand, options: dict[str, Any], shown: WorkflowShown) -> None:
    if options["json"]:
        more = {
            "on_failure": shown.row.on_failure,
            "parent": shown.row.parent,
            "metadata": shown.row.metadata,
            "steps": [_keyed_step(step) for step in shown.steps],
            "has_more_steps": shown.has_more,
        }
        print_json(command, _keyed(shown.row, shown.counts) | more)
        return
    for name, text in _facts(shown):
        print_line(command, f"{name:<12} {text}")
    if shown.steps:
        print_line(command)
        print_table(command, STEP_TITLES, map(_step_row, shown.steps))
    if shown.note:
        print_line(command, shown.note)


def _facts(shown: WorkflowShown) -> Sequence[tuple[str, str]]:
    row = shown.row
    counts = ", ".join(f"{number} {state}" for state, number in sorted(shown.counts.items()))
    facts = [
        ("id", row.id),
        ("name", row.name),
        ("status", status_of_row(row)),
        ("progress", f"{shown.progress.in_words} runs{counts and f': {counts}'}"),
        ("on_failure", row.on_failure),
        ("parent", row.parent),
        ("owner", row.owner),
        ("created_at", row.created_at),
        ("finished_at", row.finished_at),
    ]
    return [(name, str(value)) for name, value in facts if value not in (None, "")]


def _step_row(step: StepShown) -> tuple[Any, ...]:
    progress = step.progress and step.progress.in_words
    state = step.state or "deleted"
    return (f"{'  ' * step.depth}{step.name}", state, progress, step.waits_for)


def _keyed_step(step: StepShown) -> dict[str, Any]:
    """Return a step for JSON. The keys are public: do not rename them."""
    rules = [rule for _, rule in step.after]
    after = zip(step.names_before, rules, strict=True)
    return {
        "name": step.name,
        "kind": step.kind,
        "id": step.id,
        "workflow": step.workflow,
        "depth": step.depth,
        "state": step.state,
        "task_path": step.task_path,
        "counts": step.counts,
        "after": [{"step": name, "rule": rule} for name, rule in after],
        "waits_for": step.waits_for,
        "started_at": step.started_at,
        "finished_at": step.finished_at,
    }


# Actions.


def _act(command: BaseCommand, options: dict[str, Any], row: Workflow) -> None:
    if options["cancel"]:
        (verdict, reason), runs = workflow_actions.cancel(row), None
    else:
        verdict, reason, runs = _retried(options, row)
    if options["json"]:
        keyed = {"id": row.id, "verdict": verdict, "reason": reason or None}
        print_json(command, keyed if runs is None else {**keyed, "runs": runs})
    else:
        number = f", {runs} run{'' if runs == 1 else 's'}" if runs else ""
        print_line(command, f"{row.id} {verdict}{number}. {reason}".rstrip())
    if verdict == Verdict.NOT_APPLICABLE:
        raise CommandError(f"Not applicable to the workflow {row.id}.", returncode=1)


def _retried(options: dict[str, Any], row: Workflow) -> workflow_actions.Retried:
    step = options["from_step"]
    try:
        return workflow_actions.retry(row, step, again=options["again"])
    except LookupError as error:
        raise CommandError(str(error), returncode=2) from None
