"""What a task is given, what it returns, what it raises, and what becomes of its row (E)."""

import datetime
import decimal
import math
from typing import Any

import pytest
from django.db import connection

from taskworks.models import TaskRun, Worker
from tests.faults import shelf
from tests.faults.invariants import assert_invariants
from tests.faults.refusing import a_row_is_refused
from tests.faults.scene import Scene


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


REFUSED = {
    "10 MB": "x" * 10_000_000,
    "NUL": "a\0b",
    "NUL in a key": {"a\0b": 1},
    "a lone surrogate": "\ud800",
    "NaN": math.nan,
    "infinity": -math.inf,
    "2**70": 2**70,
    "10,000 levels": nested(10_000),
    "keys that are no text": {1: 2},
    "a set": {1, 2},
    "a datetime": datetime.datetime.now(datetime.UTC),
    "a Decimal": decimal.Decimal("1.5"),
    "a model": Worker(),
    "bytes": b"text",
}
UNCHANGED = {
    "an emoji": "\N{SNAKE} \u2028 ' \" \\ %s",
    "an empty key": {"": None},
    "order of keys": {"b": 1, "a": [1.5, 1e16, -0.0, 2**63 - 1, -(2**63)]},
    "500 kB": "x" * 500_000,
}


@pytest.mark.fault(34)
def test_34_arguments_are_refused_or_come_back_unchanged(scene: Scene) -> None:
    scene.start("worker")
    scene.strikes(f"{len(REFUSED)} values that are no JSON")
    for name, value in REFUSED.items():
        before = TaskRun.objects.count()
        with pytest.raises((TypeError, ValueError)):
            shelf.echo.enqueue(value)
        assert TaskRun.objects.count() == before, name
    results = {name: scene.enqueue(shelf.echo, value) for name, value in UNCHANGED.items()}
    as_a_list = scene.enqueue(shelf.echo, (1, (2,)))
    for name, result in results.items():
        run = scene.wait_until(result, "successful")
        assert run.return_value == UNCHANGED[name], name
    assert scene.wait_until(as_a_list, "successful").return_value == [1, [2]]
    scene.sees(f"{len(REFUSED)} kinds refused without a row, {len(UNCHANGED)} unchanged")
    assert_invariants(scene)


ODD_ENDS = {
    "no JSON": "TypeError",
    "NUL": "ValueError",
    "50 MB": "ValueError",
    "cyclic": "ValueError",
    "unprintable": "Unprintable",
    "not importable": "Local",
    "circular causes": "ValueError",
    "5 MB message": "ValueError",
    "BaseException": "BaseException",
    "ExceptionGroup": "ExceptionGroup",
    "SystemExit": "SystemExit",
    "KeyboardInterrupt": "KeyboardInterrupt",
    "CancelledError": "CancelledError",
    "dirty text": "ValueError",
}


@pytest.mark.fault(35)
def test_35_a_task_ends_oddly_and_its_neighbours_do_not(scene: Scene) -> None:
    [worker] = scene.start("worker")
    scene.strikes(f"{len(ODD_ENDS)} odd ends")
    odd = {}
    neighbours = []
    for name in ODD_ENDS:
        odd[name] = scene.enqueue(shelf.end_oddly, name)
        neighbours.append(scene.enqueue(shelf.quick))
    for name, result in odd.items():
        run = scene.wait_until(result, "failed")
        [entry] = run.errors
        assert entry["exception_class_path"].rpartition(".")[2] == ODD_ENDS[name]
        assert len(entry["traceback"]) < 10_100
        assert "\0" not in entry["traceback"]
    assert {scene.wait_until(result, "successful").attempts for result in neighbours} == {1}
    assert worker.is_running
    scene.sees(f"{len(ODD_ENDS)} such runs failed, {len(neighbours)} beside them successful")
    assert_invariants(scene)


@pytest.mark.fault(36)
def test_36_rows_are_deleted_and_cancelled_while_their_tasks_end(scene: Scene) -> None:
    [worker] = scene.start("worker")
    gate = scene.gate()
    deleted, cancelled = [
        scene.enqueue(shelf.fail_at.using(max_attempts=5, backoff=0), gate) for _ in range(2)
    ]
    others = scene.enqueue_many(shelf.through, [(gate,)] * 2)
    scene.wait_for_entries(4, "start")
    for result in [deleted, cancelled, *others]:
        scene.wait_until(result, "running")
    worker.freeze()  # so that it notices nothing before they have ended
    scene.strikes("one row of four is deleted, one cancelled")
    TaskRun.objects.filter(id=deleted.id).delete()
    scene.accepted.discard(deleted.id)
    assert cancelled.cancel()
    gate.open()
    worker.wake()
    for result in others:
        assert scene.wait_until(result, "successful").attempts == 1
    run = scene.wait_until(cancelled, "cancelled")
    assert run.attempts == 1
    assert not TaskRun.objects.filter(id=deleted.id).exists()
    scene.recovers("the others are written")
    scene.sees("the deleted row ignored, cancellation before retry, the others written")
    assert_invariants(scene)


@pytest.mark.fault(36)
def test_36_the_database_refuses_one_row_of_a_batch(scene: Scene) -> None:
    """As a constraint or a trigger of the project may."""
    [worker] = scene.start("worker")
    gate = scene.gate()
    others = scene.enqueue_many(shelf.through, [(gate,)] * 3)
    refused = scene.enqueue(shelf.return_at, gate, "refuse me")
    scene.wait_for_entries(4, "start")
    for result in [*others, refused]:
        scene.wait_until(result, "running")
    with a_row_is_refused(connection, "refuse me"):
        worker.freeze()
        gate.open()
        scene.strikes("a trigger refuses one outcome")
        worker.wake()
        for result in others:
            scene.wait_until(result, "successful")
        scene.recovers("its neighbours are written")
        later = scene.enqueue(shelf.quick)
        scene.wait_until(later, "successful")
        scene.recovers("others are executed")
        run = scene.wait_until(refused, "failed")
        assert run.attempts == 1
    scene.sees("the others written, the refused run failed")
    assert_invariants(scene)
