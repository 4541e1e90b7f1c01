"""Signals and log lines, as runs of all kinds send them."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import uuid4

from django.dispatch import Signal
from django.utils import timezone

from taskworks import chain, signals
from tests import tasks
from tests.behavior import received, rewrite, run_worker

LOGGER = "taskworks.runs"
OF_ANY_LINE = {*vars(logging.makeLogRecord({})), "message", "asctime"}


def observed() -> dict[str, Any]:
    """Return the arguments of each signal that was sent, and what log lines carry."""
    named = {name: one for name, one in vars(signals).items() if isinstance(one, Signal)}
    with ExitStack() as stack:
        sent = {name: stack.enter_context(received(one)) for name, one in sorted(named.items())}
        lines = stack.enter_context(_lines())
        _live()
    return {
        "signals": {name: _arguments(calls) for name, calls in sent.items()},
        "extras of lines": {LOGGER: sorted({key for line in lines for key in _extras(line)})},
    }


def _live() -> None:
    """Have a workflow end, and runs succeed, fail, be retried, cancelled, rescued and lost."""
    tasks.noop.using(metadata={"correlation_id": "of a request"}).enqueue()
    tasks.fail.using(max_attempts=2, backoff=0).enqueue()
    tasks.noop.enqueue().cancel()
    chain(tasks.noop.step()).enqueue()
    for delivery in ("at_least_once", "at_most_once"):
        _leave_to_a_dead_worker(tasks.noop.using(delivery=delivery).enqueue())
    run_worker()


def _leave_to_a_dead_worker(result: Any) -> None:
    now = timezone.now()
    claim = {"claimed_by": uuid4(), "claim_token": uuid4(), "claimed_at": now}
    rewrite(result, state="running", started_at=now, last_attempted_at=now, attempts=1, **claim)


def _arguments(calls: list[dict[str, Any]]) -> dict[str, str]:
    """Return the names of a signal's arguments, and of what classes these are."""
    return {
        name: f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
        for call in calls
        for name, value in sorted(call.items())
        if name != "signal"
    }


def _extras(line: logging.LogRecord) -> set[str]:
    return {*vars(line)} - OF_ANY_LINE


@contextmanager
def _lines() -> Iterator[list[logging.LogRecord]]:
    """Collect what is logged of runs."""
    lines: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = lines.append  # type: ignore[method-assign]
    logger = logging.getLogger(LOGGER)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
