"""``manage.py taskworks schedules``: list, enable, disable, run and preview schedules."""

import argparse
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from taskworks.actions import schedule_actions
from taskworks.conf import close_to
from taskworks.management.argument_types import positive_integer
from taskworks.management.output import add_json, print_json, print_line, print_table
from taskworks.management.reach import check_reachable
from taskworks.models.schedule import Schedule
from taskworks.schedules import sync
from taskworks.store import store

TITLES = ("LABEL", "CALLABLE", "WHEN", "NEXT RUN", "LAST RUN", "STATE")
# The JSON keys of a schedule, in the order in which they are printed. Public: do not rename them.
KEYS = (
    "label",
    "kind",
    "path",
    "object_pk",
    "cron",
    "interval",
    "timezone",
    "enabled",
    "start_running",
    "end_running",
    "iterations",
    "fired",
    "overlap",
    "catch_up",
    "last_run",
    "next_run",
    "error",
    "finished_at",
)
MAX_PREVIEWED_TIMES = 10_000
MOST_NAMED = 1000  # labels that an error looks through
ACTIONS = {
    "enable": schedule_actions.enable,
    "disable": schedule_actions.disable,
    "run_now": schedule_actions.run_now,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "labels",
        nargs="*",
        metavar="LABEL",
        help="The labels of the schedules (default: all schedules).",
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument(
        "--enable", action="store_true", help="Enable the schedules; they fire from now on."
    )
    action.add_argument("--disable", action="store_true", help="Disable the schedules.")
    action.add_argument(
        "--run-now",
        action="store_true",
        help="Start a run of each schedule at once, outside its timetable.",
    )
    action.add_argument(
        "--preview",
        type=_previewed_times,
        nargs="?",
        const=10,
        metavar="N",
        help="Describe when they run, and list their next N times (default: 10).",
    )
    add_json(parser)


def _previewed_times(text: str) -> int:
    number = positive_integer(text)
    if number > MAX_PREVIEWED_TIMES:
        raise argparse.ArgumentTypeError(f"must be at most {MAX_PREVIEWED_TIMES}, not {text!r}")
    return number


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    check_reachable()
    action = next((name for name in ACTIONS if options[name]), None)
    if action and not options["labels"]:
        raise CommandError(
            f"--{action.replace('_', '-')} requires the labels of schedules.", returncode=2
        )
    schedules = _find(options["labels"])
    if action:
        _act(command, options, schedules, ACTIONS[action])
    elif options["json"]:
        print_json(command, [_keyed(schedule, options["preview"]) for schedule in schedules])
    elif not schedules:
        print_line(command, "There are no schedules.")
    elif options["preview"]:
        _preview(command, schedules, options["preview"])
    else:
        print_table(command, TITLES, map(_row, schedules))


def _find(labels: list[str]) -> list[Schedule]:
    rows = store().schedules.order_by("label")
    if not labels:
        return list(rows)
    found = {schedule.label: schedule for schedule in rows.filter(label__in=labels)}
    unknown = [repr(label) for label in labels if label not in found]
    if unknown:
        raise CommandError(
            f"There is no schedule with the label {' or '.join(unknown)}."
            f"{_meant(sorted(set(labels) - {*found}))}",
            returncode=2,
        )
    return [found[label] for label in dict.fromkeys(labels)]


def _meant(unknown: list[str]) -> str:
    """Return a hint: one of these labels may be the name of an option, or nearly that of a row."""
    options = [name.replace("_", "-") for name in (*ACTIONS, "preview")]
    if meant := [f"--{option}" for option in options if option in unknown]:
        return f" Did you mean {meant[0]!r}?"
    labels = [*store().schedules.values_list("label", flat=True)[:MOST_NAMED]]
    return next(filter(None, (close_to(label, labels) for label in unknown)), "")


def _act(
    command: BaseCommand,
    options: dict[str, Any],
    schedules: list[Schedule],
    act: Callable[[Schedule], str],
) -> None:
    answers = [(schedule.label, *_answer(schedule, act)) for schedule in schedules]
    if options["json"]:
        keys = ("label", "verdict", "reason")
        print_json(command, [dict(zip(keys, answer, strict=True)) for answer in answers])
    else:
        for label, verdict, reason in answers:
            print_line(command, f"{label}: {verdict}. {reason or ''}".rstrip())
    refused = sum(reason is not None for _, _, reason in answers)
    if refused:
        raise CommandError(
            f"Not applicable to {refused} of {len(answers)} schedules.", returncode=1
        )


def _answer(schedule: Schedule, act: Callable[[Schedule], str]) -> tuple[str, str | None]:
    try:
        return act(schedule), None
    except schedule_actions.NotApplicable as reason:
        return "not applicable", str(reason)


def _preview(command: BaseCommand, schedules: list[Schedule], number: int) -> None:
    for schedule in schedules:
        print_line(command, f"{schedule.label}: {schedule_actions.in_words(schedule)}")
        print_line(command, f"  {schedule.path}, {schedule_actions.state(schedule)}")
        for planned in _upcoming(schedule, number):
            print_line(command, f"  {planned:%a %Y-%m-%d %H:%M:%S %Z}")


def _upcoming(schedule: Schedule, number: int) -> list[Any]:
    try:
        return list(schedule.upcoming(number))
    except ValueError:  # in_words() describes the error
        return []


def _row(schedule: Schedule) -> tuple[Any, ...]:
    note = ", changed since" if sync.changes(schedule) else ""
    return (
        schedule.label,
        schedule.path,
        schedule_actions.when(schedule),
        schedule.next_run,
        schedule.last_run,
        f"{schedule_actions.state(schedule)}{note}",
    )


def _keyed(schedule: Schedule, number: int | None) -> dict[str, Any]:
    keyed: dict[str, Any] = {key: getattr(schedule, key) for key in KEYS}
    keyed |= {
        "in_words": schedule_actions.in_words(schedule),
        "state": schedule_actions.state(schedule),
        "declared": schedule.declared is not None and not sync.is_withdrawn(schedule),
        "changed": [*sync.changes(schedule)],
    }
    if number:
        keyed["upcoming"] = _upcoming(schedule, number)
    return keyed
