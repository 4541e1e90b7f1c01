"""How much Python a run costs: a worker executes thousands per second."""

import logging
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from types import FrameType
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from taskworks.backends.database import DatabaseBackend
from taskworks.execution import Attempt, Outcome, Settled, ThreadGuard, execute, prepare
from taskworks.models import TaskRun, Worker
from taskworks.recording.ledger import Ledger
from taskworks.signals import task_finished, task_started
from taskworks.store import store
from tests import tasks
from tests.recording.in_hand import new_ledger, submit

pytestmark = pytest.mark.django_db(transaction=True)

FEW, MANY = 100, 300  # runs at once
# Of each run, besides what a batch costs once.
MOST_OF_CLAIM = {"postgresql": 6, "sqlite": 14, "mysql": 16}
MOST_OF_PREPARATION = 8
MOST_OF_EXECUTION = 45
MOST_OF_RECORD = {"postgresql": 20, "sqlite": 24, "mysql": 40}


@pytest.fixture(autouse=True)
def _nobody_listens(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Neither a log or a receiver that another test has left, nor Django's receivers, from 6.0."""
    for signal in (task_started, task_finished):
        monkeypatch.setattr(signal, "receivers", [])
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


def calls(function: Callable[[], Any]) -> int:
    """How many functions of Python are called."""
    count = 0

    def note(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def per_run(cost: Callable[[int], int]) -> float:
    cost(FEW)  # what is kept for the next time
    return (cost(MANY) - cost(FEW)) / (MANY - FEW)


@pytest.fixture
def worker() -> UUID:
    row = Worker(label="of a test", hostname="here", pid=1)
    store().register(row)
    return row.id


def claimed(worker: UUID, count: int) -> list[TaskRun]:
    runs = store().claim(worker, "default", ["default"], {"thread": count})
    assert len(runs) == count
    return runs


def attempts_of(worker: UUID, count: int) -> list[Attempt]:
    tasks.noop.enqueue_many([()] * count)
    attempts = [Attempt(run, "of a test") for run in claimed(worker, count)]
    for attempt in attempts:
        assert prepare(attempt) is None
    return attempts


def executed(attempt: Attempt) -> Outcome:
    guard = attempt.guarded_by(ThreadGuard())
    return Context().run(execute, attempt, guard, DatabaseBackend)


def test_to_read_a_claimed_run_takes_few_calls(worker: UUID) -> None:
    def cost(count: int) -> int:
        tasks.noop.enqueue_many([()] * count)
        return calls(lambda: claimed(worker, count))

    assert per_run(cost) <= MOST_OF_CLAIM[connection.vendor]


def test_to_prepare_an_attempt_takes_few_calls(worker: UUID) -> None:
    def cost(count: int) -> int:
        attempts = attempts_of(worker, count)
        return calls(lambda: [prepare(attempt) for attempt in attempts])

    assert per_run(cost) <= MOST_OF_PREPARATION


def test_to_execute_a_function_takes_few_calls(worker: UUID) -> None:
    def cost(count: int) -> int:
        attempts = attempts_of(worker, count)
        with ThreadPoolExecutor(1) as thread:  # which has no connection, as most tasks need none
            counted = thread.submit(calls, lambda: [executed(attempt) for attempt in attempts])
            return counted.result()

    assert per_run(cost) <= MOST_OF_EXECUTION


def test_to_record_an_outcome_takes_few_calls(worker: UUID) -> None:
    def cost(count: int) -> int:
        ledger, attempts = new_ledger(), attempts_of(worker, count)
        submit(ledger, attempts)
        outcomes = [executed(attempt) for attempt in attempts]
        return calls(lambda: _record(ledger, attempts, outcomes))

    assert per_run(cost) <= MOST_OF_RECORD[connection.vendor]


def _record(ledger: Ledger, attempts: list[Attempt], outcomes: list[Settled]) -> None:
    for attempt, outcome in zip(attempts, outcomes, strict=True):
        ledger.settle(attempt, outcome)
    ledger.record()
    assert len(ledger.in_hand) == 0
