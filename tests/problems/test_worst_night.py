"""
The worst night: 300 failures of three kinds, a worker that was killed, a paused queue, and a
transaction that stays open. ``health``, ``status`` and ``failures`` name each of it in a sentence,
and one command retries the right 200.
"""

import signal
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

import taskworks_health
from taskworks.failures.grouping import group
from taskworks.models import TaskRun, Worker
from taskworks.problems import of_databases
from taskworks.store import Store
from tests import tasks
from tests.behavior import run_worker
from tests.connections import held_elsewhere
from tests.problems import bank
from tests.processes.conftest import WorkerProcess
from tests.waiting import wait_for

HOURS_AGO = timedelta(hours=3)


@pytest.fixture(autouse=True)
def _the_bank_is_down() -> Iterator[None]:
    bank.BANK["is_down"] = True
    yield
    bank.BANK["is_down"] = False


@pytest.fixture
def night(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it really happens; then some hours pass."""
    _queue_of_a_killed_worker(tmp_path)
    bank.charge.enqueue_many([(order,) for order in range(200)])
    bank.convert.enqueue_many([("XXX",)] * 60)
    bank.send_invoice.enqueue_many([(order,) for order in range(40)])
    run_worker(queues="default")
    assert TaskRun.objects.filter(state="failed").count() == 300
    group(store)
    tasks.noop.using(queue_name="imports").enqueue_many([()] * 7)
    call_command("taskworks", "pause", "imports", by="anna", reason="Their disk is full.")
    _pass_time(store)
    monkeypatch.setattr(of_databases, "STUCK", timedelta())
    monkeypatch.setattr(of_databases, "STUCK_ON_SQLITE", 0.05)


def _queue_of_a_killed_worker(tmp_path: Path) -> None:
    """A worker of the queue mail executes something, and is killed."""
    tasks.wait_for_gate.using(queue_name="mail").enqueue()
    file = tmp_path / "worker.json"
    given = "--queues", "mail", "--worker-id", "web-1", "--heartbeat-file", str(file)
    worker = WorkerProcess(*given)
    try:
        wait_for(lambda: TaskRun.objects.filter(state="running").exists(), "it executes")
        assert taskworks_health.main(["--file", str(file)]) == 0
    finally:
        worker.process.send_signal(signal.SIGKILL)
        worker.process.wait()
        worker.process.stdout.close()  # type: ignore[union-attr]
    wait_for(lambda: taskworks_health.main(["--file", str(file), "--max-age", "0.1"]) == 1, "old")
    tasks.noop.using(queue_name="mail").enqueue_many([()] * 12)


def _pass_time(store: Store) -> None:
    then = store.read_clock() - HOURS_AGO
    Worker.objects.update(heartbeat_at=then)
    TaskRun.objects.filter(state="ready").update(available_at=then)


def output_of(*arguments: str, code: int = 0) -> str:
    """What a command prints on both streams, and its error; it ends with this exit code."""
    output = StringIO()
    with pytest.raises(CommandError) if code else nullcontext() as raised:
        call_command("taskworks", *arguments, stdout=output, stderr=StringIO())
    if raised is None:
        return output.getvalue()
    assert raised.value.returncode == code
    return f"{output.getvalue()}{raised.value}"


@pytest.mark.not_every_day
@pytest.mark.usefixtures("night")
def test_each_of_it_is_named_and_the_right_runs_are_retried(settings: Any) -> None:
    with held_elsewhere(lambda: TaskRun.objects.filter(state="failed").update(rank=1)):
        assert_named(output_of("health", code=1), *IN_HEALTH)
        assert_named(output_of("status", code=4), *IN_STATUS)
        assert_named(output_of("failures"), *IN_FAILURES)
    bank.BANK["is_down"] = False
    retry = "retry", "--state", "failed", "--since", "12h", "--error", "ConnectionError"
    assert_named(output_of(*retry, "--dry-run"), "200 runs", "tests.problems.bank.charge")
    assert TaskRun.objects.filter(state="failed").count() == 300
    assert_named(output_of(*retry), "200 runs")
    # It also gives up the dead worker, for which it need not wait here.
    settings.TASKWORKS = {**settings.TASKWORKS, "WORKER_TIMEOUT": 1.0}
    run_worker(queues="default")
    charged = TaskRun.objects.filter(task_path="tests.problems.bank.charge")
    assert {*charged.values_list("state", flat=True)} == {"successful"}
    assert TaskRun.objects.filter(state="failed").count() == 100


def assert_named(text: str, *parts: str) -> None:
    assert [part for part in parts if part not in text] == [], text


FAILING = (
    "200 of the 200 runs of tests.problems.bank.charge that ended in the last 15 minutes have "
    "failed (100%).",
    "60 of the 60 runs of tests.problems.bank.convert",
    "40 of the 40 runs of tests.problems.bank.send_invoice",
)
IN_HEALTH = (
    *FAILING,
    "No living worker takes the queue 'mail', in which 12 runs are ready; the oldest has",
    "web-1 was last heard 3 h ",
    "The worker web-1 (",
    "seems to be dead: silent for 3 h ",
    "its 1 run comes back when another worker has lived",
    "The queue 'imports' of the backend 'default' is paused by anna: Their disk is full.",
    "Meanwhile 7 runs are ready in it.",
    "CRITICAL stuck_transaction: ",
    "The write lock of the database could not be had"
    if connection.vendor == "sqlite"
    else "has been open for",
)
IN_STATUS = (
    *FAILING,
    "The worker web-1 seems to be dead: silent for 3 h ",
    "No living worker takes these queues, which have runs to execute: 'mail' (13)",
    "The queue 'imports' of the backend 'default' is paused by anna: Their disk is full.",
    *(() if connection.vendor == "sqlite" else ("CRITICAL stuck_transaction: A transaction of",)),
)
IN_FAILURES = (
    "tests.problems.bank.charge",
    "builtins.ConnectionError",
    "tests.problems.bank.convert",
    "builtins.KeyError",
    "tests.problems.bank.send_invoice",
    "builtins.ValueError",
    "tests/problems/bank.py:charge",
    "  200 ",
    "  60 ",
    "  40 ",
)
