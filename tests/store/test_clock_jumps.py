"""The clock of the database is moved: nobody dies of it, and the dead are found all the same."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

import pytest

from taskworks.database.clock import DatabaseClock
from taskworks.duties import heartbeat
from taskworks.duties.heartbeat import ClockJumpGuard
from taskworks.models import Worker
from taskworks.store import Store

HOUR, SILENCE = timedelta(hours=1), timedelta(seconds=30)


class Time:
    """Of this process and of the database, which a test moves together, or one alone."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds
        DatabaseClock.moved += timedelta(seconds=seconds)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Iterator[Time]:
    time = Time()
    monkeypatch.setattr(heartbeat, "time", time)
    monkeypatch.setattr(DatabaseClock, "moved", DatabaseClock.moved)
    return time


@pytest.fixture
def look(store: Store, worker: UUID) -> Callable[[], int]:
    """The witness gives a sign of life, and gives up whom it sees silent; how many."""

    guard = ClockJumpGuard()

    def look() -> int:
        assert store.heartbeat(worker)
        overview = store.overview(SILENCE, worker)
        assert overview.heartbeat_at
        guard.note(overview.heartbeat_at, SILENCE)
        may_give_up = overview.silent and guard.are_over(SILENCE)
        return store.give_up(SILENCE, worker) if may_give_up else 0

    return look


@pytest.mark.parametrize("moved", [HOUR, -HOUR], ids=["ahead", "back"])
def test_a_clock_that_is_set_is_nobody_s_death(
    store: Store,
    look: Callable[[], int],
    new_worker: Callable[[], UUID],
    time: Time,
    moved: timedelta,
) -> None:
    """As it is when a machine was suspended: this process did not notice that time went by."""
    other = new_worker()
    assert look() == 0
    time.passes(5)
    DatabaseClock.moved += moved
    assert look() == 0
    time.passes(5)
    assert look() == 0
    assert store.heartbeat(other)
    for _ in range(5):
        time.passes(5)
        assert look() == 0


@pytest.mark.parametrize("moved", [HOUR, -HOUR], ids=["ahead", "back"])
def test_who_is_silent_after_that_is_dead(
    look: Callable[[], int], new_worker: Callable[[], UUID], time: Time, moved: timedelta
) -> None:
    dead = new_worker()
    assert look() == 0
    DatabaseClock.moved += moved
    given_up = []
    for _ in range(8):
        time.passes(5)
        given_up.append(look())
    assert given_up == [0, 0, 0, 0, 0, 0, 1, 0]
    assert not Worker.objects.living().filter(id=dead).exists()
