"""``manage.py taskworks limits``: list limits, and change their numbers."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from taskworks.actions import limits
from taskworks.conf import close_to, nearest
from taskworks.management.argument_types import positive_integer
from taskworks.management.output import add_json, print_json, print_line, print_table
from taskworks.management.reach import check_reachable
from taskworks.models import Limit
from taskworks.options.limits import NUMBERS, Number
from taskworks.store import store

TITLES = ("NAME", "AT ONCE", "TOTAL", "RATE", "TOTAL RATE", "IN HAND", "WAITING", "DECLARED")
NONE = "none"
MOST_NAMED = 100  # limits, all of which an error lists
OF_RATES = (
    ("rate", "with one key may be claimed in a time, such as 100/m"),
    ("burst", "of these may be claimed at once"),
    ("total-rate", "may be claimed in a time in all"),
    ("total-burst", "of these may be claimed at once"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", nargs="?", metavar="NAME", help="The name of the limit (default: all limits).")
    for name, what in (("at-once", "with one key"), ("total", "in all")):
        add(
            f"--{name}",
            type=_number,
            metavar="N",
            help=f"How many runs {what} may be in hand at once, or '{NONE}' for no limit. It holds "
            "until another number is declared.",
        )
    for name, what in OF_RATES:
        is_burst = name.endswith("burst")
        add(
            f"--{name}",
            type=_number if is_burst else str,
            metavar="N" if is_burst else "RATE",
            help=f"How many runs {what}, or '{NONE}'. It holds likewise.",
        )
    add("--reset", action="store_true", help="Go back to the numbers that are declared.")
    add_json(parser)


def _number(text: str) -> int | str:
    return NONE if text == NONE else positive_integer(text)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    check_reachable()
    name, numbers = options["name"], _numbers(options)
    if name is None and (numbers or options["reset"]):
        raise CommandError("Name the limit whose numbers are to be changed.", returncode=2)
    rows = _rows(name)
    if options["reset"]:
        numbers = {**rows[0].changed, **numbers}
    if numbers:
        rows = [_changed(name, numbers)]
    uses = limits.uses_of(rows)
    if options["json"]:
        print_json(command, [_keyed(use) for use in uses])
    elif not uses:
        print_line(command, "There are no limits.")
    else:
        print_table(command, TITLES, map(_row, uses))


def _numbers(options: dict[str, Any]) -> dict[str, Number]:
    given = {name: options[name] for name in NUMBERS if options[name] is not None}
    return {name: None if number == NONE else number for name, number in given.items()}


def _rows(name: str | None) -> list[Limit]:
    rows = store().limits.order_by("name")
    if name is None:
        return [*rows]
    found = [*rows.filter(name=name)]
    if not found:
        hint = _hint(name, [*rows.values_list("name", flat=True)])
        raise CommandError(f"There is no limit {name!r} in the database.{hint}", returncode=2)
    return found


def _hint(name: str, known: list[str]) -> str:
    if 0 < len(known) <= MOST_NAMED:
        return nearest(name, known)
    return close_to(name, known)


def _changed(name: str, numbers: dict[str, Number]) -> Limit:
    try:
        return limits.change(name, numbers)
    except ValueError as error:
        raise CommandError(str(error), returncode=2) from None


def _row(use: limits.Use) -> tuple[Any, ...]:
    limit = use.limit
    in_hand = [NONE if number is None else number for number in (limit.at_once, limit.total)]
    rates = [_rate(limit.rate, limit.burst), _rate(limit.total_rate, limit.total_burst)]
    return (limit.name, *in_hand, *rates, use.in_hand, use.waiting_in_words, _declared(limit))


def _rate(rate: str | None, burst: int | None) -> str:
    if rate is None:
        return NONE
    return rate if burst is None else f"{rate}, {burst} at once"


def _declared(limit: Limit) -> str:
    if limit.declared is None:
        return "by nobody: it limits nothing"
    return "changed since" if limit.changed else "as shown"


def _keyed(use: limits.Use) -> dict[str, Any]:
    limit = use.limit
    return {
        "name": limit.name,
        **limit.numbers,
        "declared": limit.declared,
        "in_hand": use.in_hand,
        "waiting": use.waiting,
        "is_capped": use.is_capped,
    }
