"""What a worker has claimed of a key does not begin once one of its tasks holds that key."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from threading import Event
from uuid import UUID

import pytest
from django.db import connection

from taskworks.models import Limit, TaskRun
from taskworks.options.policy import THREAD
from taskworks.store import Store
from taskworks.worker import Worker, loop
from tests import rated
from tests.connections import held_elsewhere
from tests.stopping.runs import run_of, wait_until, working
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def long_wait_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was claimed ahead is not given back for its age."""
    monkeypatch.setattr(loop, "MAX_WAIT_AHEAD", 60.0)


@pytest.fixture
def gates(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Event]]:
    gates = {"first": Event(), "second": Event()}
    monkeypatch.setattr(rated, "gates", gates)
    yield gates
    for gate in gates.values():
        gate.set()


def let_claim_ahead(worker: Worker) -> None:
    worker._pools._pool(THREAD).claim_ahead.note([0.0001])  # type: ignore[attr-defined]


def lock_of_limit() -> AbstractContextManager[object]:
    """As while another session claims from the limit. SQLite would hold everybody up."""
    if connection.vendor == "sqlite":
        return nullcontext()
    rows = Limit.objects.select_for_update().filter(name="held")
    return held_elsewhere(lambda: [*rows])


def has_not_begun(run: TaskRun) -> bool:
    return (run.state, run.attempts, run.last_attempted_at) == ("ready", 0, None)


def test_what_waits_is_given_back_also_while_others_claim_from_the_limit(
    gates: dict[str, Event],
) -> None:
    with working(threads=1) as worker:
        let_claim_ahead(worker)
        calls = [("a", "first", "an hour"), ("a", "second"), ("a", "third")]
        first, _, third = rated.be_told_at_a_gate.enqueue_many(calls)
        wait_until(third, "claimed")
        with lock_of_limit():
            gates["first"].set()
            wait_until(third, "ready")
            gates["second"].set()
        wait_until(first, "scheduled")
    assert has_not_begun(run_of(third))


def test_what_waits_is_given_back_before_the_hold_is_written(
    gates: dict[str, Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = []
    hold_keys = Store.hold_keys

    def note_and_hold(self: Store, limit: str, until: Mapping[str, datetime]) -> bool:
        waiting.append(worker._in_hand.has_waiting_of({("held", "a")}))
        return hold_keys(self, limit, until)

    monkeypatch.setattr(Store, "hold_keys", note_and_hold)
    with working(threads=1) as worker:
        let_claim_ahead(worker)
        calls = [("a", "first", "an hour"), ("a", "second"), ("a", "third")]
        first, _, _ = rated.be_told_at_a_gate.enqueue_many(calls)
        wait_for(lambda: len(worker._in_hand.unsettled) == 3, "all are claimed")
        gates["first"].set()
        wait_for(lambda: waiting, "the key is held")
        gates["second"].set()
        wait_until(first, "scheduled")
    assert waiting == [False]


def test_what_is_claimed_until_the_hold_is_written_does_not_begin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    is_free, has_tried, released = Event(), Event(), set[UUID]()
    hold_keys, release = Store.hold_keys, Store.release

    def hold_if_free(self: Store, limit: str, until: Mapping[str, datetime]) -> bool:
        has_tried.set()
        return is_free.is_set() and hold_keys(self, limit, until)

    def note_and_release(self: Store, runs: Sequence[TaskRun]) -> set[UUID]:
        released.update(run.id for run in runs)
        return release(self, runs)

    monkeypatch.setattr(Store, "hold_keys", hold_if_free)
    monkeypatch.setattr(Store, "release", note_and_release)
    with working(threads=2):
        first = rated.be_told_at_a_gate.enqueue("a", "", "an hour")
        assert has_tried.wait(60)
        second, other = rated.be_told_at_a_gate.enqueue_many([("a", ""), ("b", "")])
        wait_until(other, "successful")
        wait_for(lambda: UUID(second.id) in released, "it is given back")
        is_free.set()
        wait_until(first, "scheduled")
    assert has_not_begun(run_of(second))
