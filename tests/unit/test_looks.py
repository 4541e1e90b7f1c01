"""When a worker looks for ready runs."""

from itertools import pairwise

import pytest

from taskworks.worker.claiming import poll_schedule as module
from taskworks.worker.claiming.poll_schedule import (
    AGAIN_AFTER,
    LOOK_ANYWAY,
    SHORTEST_GAP,
    SHORTEST_PAUSE,
    PollSchedule,
)

ROOM = {"thread": 2}


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


def pauses(looks: PollSchedule, clock: Clock, number: int) -> list[float]:
    """Between so many looks, none of which finds anything."""
    found = []
    for _ in range(number):
        assert looks.due(ROOM) == ROOM
        looks.plan(ROOM, [])
        assert looks.due(ROOM) == {}
        found.append(looks.seconds(ROOM))
        clock.now += found[-1] + 0.000_001
    return found


def test_a_poller_looks_soon_after_work_and_ever_more_rarely(clock: Clock) -> None:
    looks = PollSchedule(1.0)
    first = pauses(looks, clock, 12)
    assert SHORTEST_PAUSE * 0.79 <= first[0] <= SHORTEST_PAUSE
    assert all(earlier < later for earlier, later in pairwise(first[:6]))
    assert all(0.79 <= pause <= 1.0 for pause in first[6:])
    assert len({round(pause, 6) for pause in first[6:]}) > 1  # not in step with other workers
    looks.hurry()
    assert looks.due(ROOM)
    assert pauses(looks, clock, 1)[0] <= SHORTEST_PAUSE


def test_who_is_told_hardly_looks(clock: Clock) -> None:
    looks = PollSchedule(1.0, is_told=lambda: True)
    assert LOOK_ANYWAY * 0.79 <= pauses(looks, clock, 4)[-1] <= LOOK_ANYWAY
    patient = PollSchedule(60.0, is_told=lambda: True)
    assert 47 <= pauses(patient, clock, 4)[-1] <= 60


def test_who_is_woken_looks_at_once_and_again_when_the_window_is_over(clock: Clock) -> None:
    looks = PollSchedule(60.0, is_told=lambda: True)
    pauses(looks, clock, 4)
    clock.now -= 10
    assert not looks.due(ROOM)
    looks.wake()
    woken = clock.now
    moments = []
    while clock.now < woken + 1:
        assert looks.due(ROOM)
        moments.append(clock.now - woken)
        looks.plan(ROOM, [])
        clock.now += looks.seconds(ROOM) + 0.000_001
    assert moments[0] == 0
    assert any(AGAIN_AFTER <= moment < AGAIN_AFTER + 0.001 for moment in moments)
    assert len(moments) <= 5


def test_a_storm_of_wake_ups_is_a_look_now_and_then(clock: Clock) -> None:
    looks = PollSchedule(60.0, is_told=lambda: True)
    seen = 0
    for _ in range(1000):
        looks.wake()
        if looks.due(ROOM):
            seen += 1
            looks.plan(ROOM, [])
        clock.now += 0.001
    assert 1 / (2 * SHORTEST_GAP) <= seen <= 1 / SHORTEST_GAP + 2


def test_what_will_be_due_is_looked_for_then(clock: Clock) -> None:
    looks = PollSchedule(60.0, is_told=lambda: True)
    pauses(looks, clock, 4)
    clock.now -= 10
    looks.expect(3.0)
    assert looks.seconds(ROOM) == pytest.approx(3.0)
    clock.now += 3.001
    assert looks.due(ROOM)
    looks.plan(ROOM, [])
    assert looks.seconds(ROOM) > 40


def test_nobody_looks_for_what_has_no_room(clock: Clock) -> None:
    looks = PollSchedule(1.0)
    looks.wake()
    assert looks.due({"thread": 0}) == {}
    assert looks.seconds({"thread": 0}) == float("inf")
