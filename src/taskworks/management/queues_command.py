"""``manage.py taskworks queues``: list queues, how fast they are worked off, and until when."""

import argparse
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand

from taskworks.durations import in_words
from taskworks.management.output import add_json, print_json, print_line, print_table
from taskworks.management.queues_shown import QueueShown, queues_shown
from taskworks.management.reach import check_reachable
from taskworks.statistics.forecast import LATELY
from taskworks.store import store

TITLES = (
    "BACKEND",
    "QUEUE",
    "READY",
    "OLDEST",
    "IN HAND",
    "SLOTS",
    "PER MINUTE",
    "FAILED",
    "IN TIME",
    "FORECAST",
)
MINUTES = LATELY.total_seconds() / 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_json(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    check_reachable()
    found = queues_shown(store())
    if options["json"]:
        print_json(command, [*map(_keyed, found)])
    elif found:
        print_queues(command, found)
    else:
        print_line(command, "Nothing waits or runs in any queue.")


def print_queues(command: BaseCommand, found: Iterable[QueueShown]) -> None:
    """Print a table of queues."""
    print_table(command, TITLES, map(_row, found))


def _row(queue: QueueShown) -> tuple[Any, ...]:
    state = queue.state
    return (
        state.backend,
        state.queue_name,
        f"{state.ready}{'+' * state.is_capped}" if state.ready else None,
        in_words(state.waited) if state.ready else None,
        queue.in_hand or None,
        queue.slots,
        _rate(queue.counts.finished / MINUTES),
        None if queue.failure_share is None else f"{queue.failure_share:.1%}",
        _in_time(queue),
        _outlook(queue),
    )


def _in_time(queue: QueueShown) -> str | None:
    attained = queue.attained
    if attained is None or attained.share is None:
        return None
    return f"{attained.share:.1%} of {attained.objective.share:.1%}"


def _rate(per_minute: float) -> str | None:
    if not per_minute:
        return None
    return f"{per_minute:.1f}" if per_minute < 10 else f"{per_minute:,.0f}"


def _outlook(queue: QueueShown) -> str | None:
    if queue.pause:
        return queue.pause.in_words
    if queue.state.ready and not queue.slots:
        return "no living worker takes it"
    return queue.forecast.in_words if queue.forecast else None


def _keyed(queue: QueueShown) -> dict[str, Any]:
    state, expected = queue.state, queue.forecast
    empty_in = expected.empty_in if expected else None
    return {
        "backend": state.backend,
        "queue_name": state.queue_name,
        "ready": state.ready,
        "is_capped": state.is_capped,
        "oldest_seconds": state.waited.total_seconds() if state.ready else None,
        "in_hand": queue.in_hand,
        "slots": queue.slots,
        "finished_per_minute": queue.counts.finished / MINUTES,
        "failure_share": queue.failure_share,
        "enqueued_per_minute": expected.enqueued_per_minute if expected else None,
        "empty_in_seconds": None if empty_in is None else empty_in.total_seconds(),
        "more_slots": expected.more_slots if expected else None,
        "paused": queue.pause is not None,
        "in_time_share": queue.attained.share if queue.attained else None,
        "burn_rate": queue.attained.burn_rate if queue.attained else None,
    }
