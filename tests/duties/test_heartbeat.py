"""Who may rescue: a worker whose own heartbeats went through all the while."""

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError, connection, connections
from django.test.utils import CaptureQueriesContext

from taskworks import control, task_backends
from taskworks.duties import heartbeat as module
from taskworks.duties.heartbeat import Heartbeat
from taskworks.duties.rescue import rescue
from taskworks.duties.unblock import Unblocking
from taskworks.execution import Attempt
from taskworks.models import Edge, TaskRun, Worker
from taskworks.options.policy import Policy
from taskworks.signals import task_rescued
from taskworks.store import store
from taskworks.worker import Options, Queues
from taskworks.worker import Worker as WorkerOfRuns
from tests import tasks
from tests.behavior import run_worker
from tests.black_hole import BlackHole
from tests.clocks import Clock
from tests.connections import begin_elsewhere
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
INTERVAL, TIMEOUT = 0.2, 1.0  # as in tests.settings
MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def registered() -> UUID:
    row = Worker(id=uuid4(), label="of a test", hostname="here", pid=1)
    store().register(row)
    return row.id


@pytest.fixture
def heartbeat(clock: Clock) -> Heartbeat:
    worker = registered()
    return Heartbeat(store(), lambda: worker, lambda given_up: None)


@pytest.fixture
def orphan() -> Callable[[], str]:
    """A run whose worker is silent; says its state."""
    tasks.noop.enqueue()
    worker = registered()
    [run] = store().claim(worker, "default", ["default"], {"thread": 1})
    Worker.objects.filter(id=worker).update(heartbeat_at=store().read_clock() - MINUTE)
    return lambda: TaskRun.objects.get(id=run.id).state


def beat(heartbeat: Heartbeat, clock: Clock, seconds: float) -> None:
    for _ in range(round(seconds / INTERVAL)):
        clock.now += INTERVAL
        heartbeat.beat()


def test_a_new_worker_waits_for_as_long_as_the_others_may_be_silent(
    heartbeat: Heartbeat, clock: Clock, orphan: Callable[[], str]
) -> None:
    beat(heartbeat, clock, TIMEOUT - INTERVAL)
    assert orphan() == "claimed"
    beat(heartbeat, clock, 2 * INTERVAL)
    assert orphan() == "ready"


def test_after_an_outage_nobody_is_given_up_at_once(
    heartbeat: Heartbeat, clock: Clock, orphan: Callable[[], str]
) -> None:
    clock.now += 10 * TIMEOUT
    beat(heartbeat, clock, TIMEOUT - INTERVAL)
    assert orphan() == "claimed"
    beat(heartbeat, clock, 3 * INTERVAL)
    assert orphan() == "ready"


def test_one_that_was_given_up_says_so_and_begins_anew(clock: Clock) -> None:
    worker = registered()
    told: list[UUID] = []
    heartbeat = Heartbeat(store(), lambda: worker, told.append)
    Worker.objects.filter(id=worker).update(given_up_at=store().read_clock())
    heartbeat.beat()
    assert told == [worker]


def test_runs_of_a_worker_that_is_certainly_gone_come_back_with_the_first_beat(
    heartbeat: Heartbeat, orphan: Callable[[], str]
) -> None:
    Worker.objects.update(given_up_at=None, heartbeat_at=store().read_clock())
    heartbeat.beat()
    assert orphan() == "claimed"
    Worker.objects.exclude(id=heartbeat._worker()).delete()
    heartbeat.beat()
    assert orphan() == "ready"


def test_while_all_is_well_a_beat_is_two_statements(heartbeat: Heartbeat, clock: Clock) -> None:
    beat(heartbeat, clock, 2 * TIMEOUT)  # it may give up others
    with CaptureQueriesContext(connection) as queries:
        heartbeat.beat()
    assert len(queries) == 2


@pytest.fixture
def black_hole(monkeypatch: pytest.MonkeyPatch) -> Iterator[BlackHole]:
    """What connects to the database from now on goes through it."""
    if connection.vendor == "sqlite":
        pytest.skip("There is no way to a file on which something could get lost.")
    connection.ensure_connection()
    server = connections.settings["default"]
    hole = BlackHole(server["HOST"], int(server["PORT"]))
    monkeypatch.setitem(server, "PORT", str(hole.port))
    yield hole
    hole.end()


def test_a_black_hole_is_nobody_s_death(black_hole: BlackHole) -> None:
    workers = [registered() for _ in range(3)]
    heartbeats = [Heartbeat(store(), lambda w=w: w, lambda given_up: None) for w in workers]
    for heartbeat in heartbeats:
        heartbeat.start()
    try:
        wait_for(lambda: all(h._is_steady() for h in heartbeats), "each may give up others")
        with black_hole.closed():
            wait_for(lambda: max(silences()) > 2.5 * TIMEOUT, "nobody's heartbeat goes through")
            assert Worker.objects.living().count() == 3
        # Through the moments in which all that was held up arrives, and until each may again.
        wait_for(lambda: max(silences()) < TIMEOUT, "all beat again")
        wait_for(lambda: all(h._is_steady() for h in heartbeats), "each may give up others")
        assert Worker.objects.living().count() == 3
    finally:
        for heartbeat in heartbeats:
            heartbeat.stop()


def silences() -> list[float]:
    now = store().read_clock()
    return [(now - worker.heartbeat_at).total_seconds() for worker in Worker.objects.all()]


def test_a_receiver_of_what_is_rescued_does_not_stop_the_heart(
    heartbeat: Heartbeat, orphan: Callable[[], str]
) -> None:
    """Many runs may be rescued at once, and a receiver may send a mail for each."""
    begun, over = Event(), Event()

    def take_long(**kwargs: Any) -> None:
        begun.set()
        over.wait(30)

    task_rescued.connect(take_long)
    try:
        Worker.objects.exclude(id=heartbeat._worker()).delete()
        beating = begin_elsewhere(heartbeat.beat)
        assert begun.wait(30)
        beating.result(timeout=10)
        assert orphan() == "ready"
    finally:
        over.set()
        task_rescued.disconnect(take_long)


@pytest.mark.parametrize("options", [{}, {"delivery": "at_most_once"}], ids=str)
def test_what_is_rescued_is_left_when_the_next_heartbeat_is_due(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """Also what is cancelled, or fails, instead of being executed again."""
    monkeypatch.setattr("taskworks.duties.rescue.CHUNK", 1)
    for _ in range(3):
        tasks.noop.using(**options).enqueue()
    runs = store().claim(registered(), "default", ["default"], {"thread": 3})
    assert len(store().start(begun(runs))) == 3
    asked = {} if options else {"cancel_requested_at": store().read_clock()}
    TaskRun.objects.update(finished_at=None, **asked)
    Worker.objects.all().delete()
    clock, told = Clock(), list[TaskRun]()
    monkeypatch.setattr("taskworks.duties.rescue.time", clock)

    def tell(runs: Sequence[TaskRun]) -> None:
        told.extend(runs)
        clock.now += 0.6

    rescue(store(), within=1.0, tell=tell)
    assert len(told) == 2
    rescue(store(), within=1.0, tell=tell)
    assert len(told) == 3


def begun(runs: Sequence[TaskRun]) -> Sequence[TaskRun]:
    for run in runs:
        attempt = Attempt(run, "a label")
        attempt.policy = Policy(executor="thread")
        attempt.begin()
    return runs


def test_a_log_that_raises_ends_no_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without them the worker would be given up, and would not even learn that it was."""
    worker, tries = registered(), []

    def fails(self: Any, worker: UUID, facts: Any) -> bool:
        tries.append(worker)
        raise DatabaseError("bad weather") if len(tries) % 2 else ValueError("worse")

    monkeypatch.setattr(type(store()), "heartbeat", fails)
    handler = logging.StreamHandler()
    handler.addFilter(lambda record: record.request)
    logging.getLogger("taskworks").addHandler(handler)
    heartbeat = Heartbeat(store(), lambda: worker, lambda given_up: None)
    heartbeat.start()
    try:
        wait_for(lambda: len(tries) > 3, "it goes on")
    finally:
        logging.getLogger("taskworks").removeHandler(handler)
        heartbeat.stop()


@pytest.fixture
def follower() -> Callable[[], str]:
    """A run that waits for one that has succeeded; says its state."""
    first = tasks.noop.enqueue()
    second = task_backends["default"].enqueue_after(tasks.noop, (), {}, after=first)
    TaskRun.objects.filter(id=first.id).update(state="successful")
    return lambda: TaskRun.objects.get(id=second.id).state


def test_who_makes_runs_ready_says_so(
    heartbeat: Heartbeat, clock: Clock, orphan: Callable[[], str]
) -> None:
    said: list[str] = []
    heartbeat.made_ready = lambda: said.append(orphan())
    beat(heartbeat, clock, TIMEOUT / 2)
    assert said == []
    beat(heartbeat, clock, TIMEOUT)
    assert said == ["ready"]


def test_who_unblocks_says_so(heartbeat: Heartbeat, follower: Callable[[], str]) -> None:
    said: list[str] = []
    heartbeat.made_ready = lambda: said.append(follower())
    for _ in range(3):
        heartbeat.beat()
    assert said == ["ready"]


def test_a_batch_unblocks_in_its_own_thread(follower: Callable[[], str]) -> None:
    """Else it could find nothing to execute while the heartbeat unblocks a run, and end."""
    worker = WorkerOfRuns(task_backends["default"], Options(queues=Queues(), batch=True))
    worker._registration.begin()
    for _ in range(3):
        worker._threads.heartbeat.beat()
    assert follower() == "blocked"
    run_worker()
    assert follower() == "successful"


@pytest.fixture
def behind_many(monkeypatch: pytest.MonkeyPatch, follower: Callable[[], str]) -> list[UUID]:
    """Before the follower, a sweep comes to runs that wait for the pause of their task."""
    monkeypatch.setattr("taskworks.duties.unblock.CHUNK", 2)
    pause = control.pause(task=tasks.add)
    runs = [UUID(tasks.add.enqueue(1, 2).id) for _ in range(9)]
    TaskRun.objects.filter(id__in=runs).update(
        state="blocked", claimed_at=store().read_clock(), available_at=store().read_clock() - MINUTE
    )
    edge = Edge.objects.get()
    edge.delete()
    Edge.objects.bulk_create(Edge(run=run, after=pause.id, any_end=True) for run in runs)
    Edge.objects.create(run=edge.run, after=edge.after)
    return runs


def test_one_heartbeat_sweeps_past_many_parked_runs(
    heartbeat: Heartbeat, clock: Clock, follower: Callable[[], str], behind_many: list[UUID]
) -> None:
    beat(heartbeat, clock, INTERVAL)
    assert follower() == "ready"
    assert TaskRun.objects.blocked().count() == len(behind_many)


@pytest.mark.usefixtures("behind_many")
def test_a_sweep_takes_a_share_of_the_time(
    heartbeat: Heartbeat,
    clock: Clock,
    follower: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = Unblocking.step

    def slow(self: Unblocking, within: float) -> bool:
        clock.now += INTERVAL * module.SWEEPING
        return step(self, within)

    monkeypatch.setattr(Unblocking, "step", slow)
    for _ in range(4):
        beat(heartbeat, clock, INTERVAL)
        assert follower() == "blocked"  # two edges a heartbeat
    beat(heartbeat, clock, INTERVAL)
    assert follower() == "ready"
