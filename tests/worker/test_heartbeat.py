"""Who may rescue: a worker whose own heartbeats went through all the while."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from taskworks.models import TaskRun, Worker
from taskworks.store import store
from taskworks.worker import heartbeat as module
from taskworks.worker.heartbeat import Heartbeat
from tests import tasks

pytestmark = pytest.mark.django_db(transaction=True)
INTERVAL, TIMEOUT = 0.2, 1.0  # as in tests.settings
MINUTE = timedelta(minutes=1)


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


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
    return Heartbeat(store(), lambda: worker, lambda: None)


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
    told: list[bool] = []
    heartbeat = Heartbeat(store(), lambda: worker, lambda: told.append(True))
    Worker.objects.filter(id=worker).update(given_up_at=store().read_clock())
    heartbeat.beat()
    assert told == [True]


def test_runs_of_a_worker_that_is_certainly_gone_come_back_with_the_first_beat(
    heartbeat: Heartbeat, orphan: Callable[[], str]
) -> None:
    Worker.objects.update(given_up_at=None, heartbeat_at=store().read_clock())
    heartbeat.beat()
    assert orphan() == "claimed"
    Worker.objects.exclude(id=heartbeat._worker()).delete()
    heartbeat.beat()
    assert orphan() == "ready"
