"""When a worker looks for runs that a rate or a hold has kept back."""

import math
import threading
from uuid import UUID, uuid4

import pytest
from django.db import connection

from taskworks.actions import limits
from taskworks.execution import Attempt
from taskworks.models import Bucket, Limit, TaskRun
from taskworks.models import Worker as WorkerRow
from taskworks.store import store
from taskworks.store.limiting import LimitedClaim, Line
from taskworks.worker import Queues
from taskworks.worker.claiming import NoWakeUps
from taskworks.worker.claiming import openings as module
from taskworks.worker.claiming.intake import Intake
from taskworks.worker.claiming.openings import MAX_LOOKS, SOON, Openings
from taskworks.worker.claiming.slots import FreedSlots
from tests import rated, tasks
from tests.clocks import Clock
from tests.connections import held_elsewhere
from tests.waiting import wait_for
from tests.worker.claiming.idleness import RARELY, StartWorker, idle, wait_until_executed

pytestmark = pytest.mark.django_db(transaction=True)
LINE = Line("slow", "default", ("default",), "thread")
ROOM = {"thread": 10}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def worker() -> UUID:
    row = WorkerRow(id=uuid4(), label="of a test", hostname="here", pid=1)
    store().register(row)
    limits.synchronize()
    return row.id


@pytest.fixture
def intake() -> Intake:
    """It polls once in ten minutes."""
    intake = Intake(store(), "default", Queues(), RARELY, NoWakeUps())
    intake._poll_schedule._pause = RARELY
    return intake


def claim(intake: Intake, worker: UUID) -> list[TaskRun]:
    intake._poll_schedule._pause = RARELY
    wait_for(lambda: intake.room_due(ROOM), "it is time to look")
    return intake.claim(worker, ROOM, None)


def test_it_looks_when_the_next_one_may_begin_and_not_before(intake: Intake, worker: UUID) -> None:
    limits.change("slow", {"rate": "1/m"})
    rated.call_slowly.enqueue_many([["a"]] * 5)
    assert len(claim(intake, worker)) == 2
    assert 50 < intake.seconds(ROOM) <= 60
    assert not intake.take_openings()
    assert intake.claim(worker, ROOM, None) == []
    assert intake.not_ahead == frozenset()  # others are claimed ahead as long as that


def test_the_first_of_several_openings_counts(intake: Intake, worker: UUID) -> None:
    limits.change("slow", {"rate": "1/h", "burst": 1})
    limits.change("api", {"rate": "1/m", "burst": 1})
    rated.call_slowly.enqueue_many([["a"]] * 2)
    rated.call_api.enqueue_many([["a"]] * 2)
    assert len(claim(intake, worker)) == 2
    assert 50 < intake.seconds(ROOM) <= 60


def test_an_opening_that_has_come_is_taken_once(clock: Clock) -> None:
    openings = Openings()
    openings.note(LINE, LimitedClaim([], may_have_more=False, opens_in=5.0), 0.0)
    openings.note(LINE._replace(limit="api"), LimitedClaim([], may_have_more=False), 0.0)
    assert openings.seconds == 5.0
    assert not openings.take()
    clock.now += 5
    assert openings.take()
    assert not openings.take()
    assert openings.seconds == math.inf


def test_what_is_closed_for_long_is_not_soon(clock: Clock) -> None:
    openings = Openings()
    openings.note(LINE, LimitedClaim([], may_have_more=False, opens_in=SOON + 1), 0.0)
    assert not openings.are_soon
    clock.now += 1
    assert openings.are_soon
    openings.clear()
    assert not openings.are_soon


def test_after_many_closed_lanes_it_rests_and_goes_on(clock: Clock) -> None:
    openings = Openings()
    gave_up = LimitedClaim([], may_have_more=False, opens_in=3600, gave_up=True)
    openings.note(LINE, gave_up, 0.1)
    assert openings.seconds == pytest.approx(0.4)
    for _ in range(MAX_LOOKS):
        openings.note(LINE, gave_up, 0.1)
    assert openings.seconds == pytest.approx(0.4)
    assert not openings.are_soon  # a batch has looked enough
    openings.note(LINE, LimitedClaim([], may_have_more=False, opens_in=30), 0.1)
    assert openings.are_soon


def test_a_worker_that_hardly_polls_executes_what_is_rated(start_worker: StartWorker) -> None:
    limits.synchronize()
    limits.change("api", {"rate": "4/s"})
    worker = start_worker(interval=0.05 if connection.vendor == "mysql" else RARELY)
    if connection.vendor != "mysql":
        idle(worker)
    wait_until_executed(*rated.call_api.enqueue_many([["a"]] * 5 + [["b"]] * 3))


def test_a_worker_that_hardly_polls_heeds_a_changed_rate(start_worker: StartWorker) -> None:
    limits.synchronize()
    worker = start_worker(interval=0.05 if connection.vendor == "mysql" else RARELY)
    results = rated.call_slowly.enqueue_many([["a"]] * 4)
    wait_for(lambda: TaskRun.objects.successful().count() == 2, "the burst is used")
    if connection.vendor != "mysql":
        idle(worker)
    limits.change("slow", {"rate": "1000/s"})
    wait_until_executed(*results)


def test_a_run_that_ends_makes_room_only_where_places_are_counted(
    intake: Intake, worker: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    monkeypatch.setattr(type(store()), "notify_workers", lambda self, *of, **more: told.append(1))
    freed = FreedSlots(store(), intake.has_slots)
    for numbers, frees in (({}, False), ({"at_once": 5}, True), ({"at_once": None}, False)):
        limits.change("slow", {"rate": "1000/s", **numbers}) if numbers else None
        rated.call_slowly.enqueue("a")
        intake.wake()
        [run] = wait_for(lambda: intake.claim(worker, ROOM, None), "it is claimed")
        told.clear()
        freed.recorded([Attempt(run, "of a test")])
        freed.tell_others()
        assert freed.take() == bool(told) == frees


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite locks no rows")
def test_a_hold_that_has_to_wait_is_written_later_and_holds_up_nothing_else(
    start_worker: StartWorker,
) -> None:
    """Another worker is frozen in a claim."""
    limits.synchronize()
    gate = rated.gates["a"] = threading.Event()
    start_worker(interval=0.05)
    run = TaskRun.objects.filter(id=rated.be_told_to_wait.enqueue("a", "an hour").id)
    wait_for(lambda: run.get().state == "running", "it is in hand")
    rows = Limit.objects.filter(name="held").select_for_update()
    try:
        with held_elsewhere(lambda: [*rows]):
            gate.set()
            wait_until_executed(*(tasks.noop.enqueue() for _ in range(2)))
            assert run.get().state == "running"
            assert not Bucket.objects.exists()
        wait_for(lambda: run.get().state == "scheduled", "it holds the key")
    finally:
        rated.gates.clear()
    assert Bucket.objects.get().held_until == run.get().available_at
