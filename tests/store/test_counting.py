"""Counts that have a bound."""

import pytest

from taskworks.models import Failure, RunState, TaskRun
from taskworks.store import store
from tests import limited, tasks

pytestmark = pytest.mark.django_db


def make(number: int, state: str, **columns: object) -> list[TaskRun]:
    results = tasks.noop.enqueue_many([((), {})] * number) if number else []
    ids = [result.id for result in results]
    if state in ("successful", "failed", "cancelled"):
        columns = {"finished_at": store().read_clock(), **columns}
    TaskRun.objects.filter(id__in=ids).update(state=state, **columns)
    return [*TaskRun.objects.filter(id__in=ids)]


def test_each_state_is_counted_up_to_a_bound() -> None:
    for state in RunState:
        make(3, state)
    limited.send.enqueue("a")
    counts = store().count_states(100)
    assert counts == {**dict.fromkeys(RunState, 3), RunState.READY: 4}
    assert set(store().count_states(2).values()) == {2}


def test_runs_in_hand_are_counted_by_worker_and_queue() -> None:
    make(2, "claimed")
    make(1, "running", queue_name="mail")
    held = {(one.queue_name, one.state): one.number for one in store().held()}
    assert held == {("default", "claimed"): 2, ("mail", "running"): 1}


def test_failures_that_were_retried_are_not_open() -> None:
    failed = make(3, "failed")
    now = store().read_clock()
    Failure.objects.bulk_create(
        Failure(run=run.id, fingerprint="f", at=run.finished_at or now) for run in failed
    )
    assert store().count_open(["f", "g"], 10) == {"f": 3, "g": 0}
    assert store().count_open(["f"], 2) == {"f": 2}
    TaskRun.objects.filter(id=failed[0].id).update(state="ready", finished_at=None)
    assert store().count_open(["f"], 10) == {"f": 2}
    assert store().count_open([], 10) == {}
