"""When a worker looks for ready runs."""

import pytest

from taskworks.models import TaskRun
from taskworks.worker.claiming import poll_schedule as module
from taskworks.worker.claiming.poll_schedule import (
    ACTIVE_FOR,
    LOOK_AGAIN_AFTER,
    MIN_LOOK_INTERVAL,
    MIN_POLL_INTERVAL,
    POLL_INTERVAL_IF_NOTIFIED,
    QUIET_POLL_INTERVAL,
    PollSchedule,
)
from tests.clocks import Clock

ROOM = {"thread": 2}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def pauses(schedule: PollSchedule, clock: Clock, number: int) -> list[float]:
    """Between so many looks, none of which finds anything."""
    found = []
    for _ in range(number):
        assert schedule.room_due(ROOM) == ROOM
        schedule.plan(ROOM, [])
        assert schedule.room_due(ROOM) == {}
        found.append(schedule.seconds(ROOM))
        clock.now += found[-1] + 0.000_001
    return found


def test_a_poller_looks_soon_after_work_and_ever_more_rarely(clock: Clock) -> None:
    schedule = PollSchedule(1.0)
    first = pauses(schedule, clock, 12)
    assert MIN_POLL_INTERVAL * 0.79 <= first[0] <= MIN_POLL_INTERVAL
    assert first[0] < first[1] < first[2]
    assert all(0.079 <= pause <= 0.1 for pause in first[3:])
    assert len({round(pause, 6) for pause in first[3:]}) > 1  # not in step with other workers
    clock.now += 3
    quiet = pauses(schedule, clock, 100)
    assert all(0.119 <= pause <= QUIET_POLL_INTERVAL for pause in quiet[1:])
    clock.now += ACTIVE_FOR
    later = pauses(schedule, clock, 12)
    assert all(0.79 <= pause <= 1.0 for pause in later[6:])
    schedule.hurry()
    again = pauses(schedule, clock, 12)
    assert again[0] <= MIN_POLL_INTERVAL
    assert max(again) <= 0.1


@pytest.mark.parametrize(
    ("interval", "after_work"), [(0.01, 0.01), (0.05, 0.05), (0.5, 0.15), (5.0, 0.5), (60.0, 6.0)]
)
def test_after_work_a_poller_looks_ten_times_as_often_but_not_all_the_time(
    clock: Clock, interval: float, after_work: float
) -> None:
    schedule = PollSchedule(interval)
    clock.now += ACTIVE_FOR / 2
    assert 0.79 * after_work <= pauses(schedule, clock, 12)[-1] <= after_work
    clock.now += ACTIVE_FOR
    assert 0.79 * interval <= pauses(schedule, clock, 12)[-1] <= interval


def test_who_is_notified_hardly_looks(clock: Clock) -> None:
    schedule = PollSchedule(1.0, is_notified=lambda: True)
    last = pauses(schedule, clock, 4)[-1]
    assert POLL_INTERVAL_IF_NOTIFIED * 0.79 <= last <= POLL_INTERVAL_IF_NOTIFIED
    patient = PollSchedule(60.0, is_notified=lambda: True)
    assert 47 <= pauses(patient, clock, 4)[-1] <= 60


def test_who_is_woken_looks_at_once_and_again_when_the_window_is_over(clock: Clock) -> None:
    schedule = PollSchedule(60.0, is_notified=lambda: True)
    pauses(schedule, clock, 4)
    clock.now -= 10
    assert not schedule.room_due(ROOM)
    schedule.wake()
    woken = clock.now
    moments = []
    while clock.now < woken + 1:
        assert schedule.room_due(ROOM)
        moments.append(clock.now - woken)
        schedule.plan(ROOM, [])
        clock.now += schedule.seconds(ROOM) + 0.000_001
    assert moments[0] == 0
    assert any(LOOK_AGAIN_AFTER <= moment < LOOK_AGAIN_AFTER + 0.001 for moment in moments)
    assert len(moments) <= 5


def test_a_storm_of_wake_ups_is_a_look_now_and_then(clock: Clock) -> None:
    schedule = PollSchedule(60.0, is_notified=lambda: True)
    seen = 0
    for _ in range(1000):
        schedule.wake()
        if schedule.room_due(ROOM):
            seen += 1
            schedule.plan(ROOM, [])
        clock.now += 0.001
    assert 1 / (2 * MIN_LOOK_INTERVAL) <= seen <= 1 / MIN_LOOK_INTERVAL + 2


def test_what_has_no_room_when_it_is_to_be_looked_for_is_looked_for_once_it_has(
    clock: Clock,
) -> None:
    """Of another executor, there was a look at that moment."""
    both = {"thread": 1, "process": 1}
    for ask in (PollSchedule.look_again_in, PollSchedule.expect_due_in):
        schedule = PollSchedule(60.0, is_notified=lambda: True)
        for _ in range(9):
            clock.now += 60
            assert schedule.room_due(both) == both
            schedule.plan(both, [])
        ask(schedule, 1)
        clock.now += 1
        assert schedule.room_due({"thread": 1})
        schedule.plan({"thread": 1}, [])
        clock.now += 1
        assert schedule.room_due(both) == {"process": 1}
        schedule.plan({"process": 1}, [])
        assert not schedule.room_due(both)


def test_what_will_be_due_is_looked_for_then(clock: Clock) -> None:
    schedule = PollSchedule(60.0, is_notified=lambda: True)
    pauses(schedule, clock, 4)
    clock.now -= 10
    schedule.expect_due_in(3.0)
    assert schedule.seconds(ROOM) == pytest.approx(3.0)
    clock.now += 3.001
    assert schedule.room_due(ROOM)
    schedule.plan(ROOM, [])
    assert schedule.seconds(ROOM) > 40


def test_nobody_looks_for_what_has_no_room(clock: Clock) -> None:
    schedule = PollSchedule(1.0)
    schedule.wake()
    assert schedule.room_due({"thread": 0}) == {}
    assert schedule.seconds({"thread": 0}) == float("inf")


# Who is told of some runs.


def told(clock: Clock, interval: float = 1.0) -> PollSchedule:
    """A schedule of a worker that rests, and may miss a run."""
    schedule = PollSchedule(interval, is_notified=lambda: True, misses_nothing=lambda: False)
    assert pauses(schedule, clock, 4)[-1] == pytest.approx(interval, rel=0.21)
    return schedule


def look(schedule: PollSchedule, *found: str) -> None:
    assert schedule.room_due(ROOM) == ROOM
    schedule.plan(ROOM, [TaskRun(executor=executor) for executor in found])


def test_who_may_miss_a_run_polls_at_the_interval(clock: Clock) -> None:
    told(clock)
    told(clock, 60.0)
    clock.now += ACTIVE_FOR
    told(clock)


def test_who_finds_by_a_poll_what_nobody_told_of_polls_as_usual_for_a_while(clock: Clock) -> None:
    schedule = told(clock)
    look(schedule, "thread")
    assert schedule.seconds(ROOM) <= MIN_POLL_INTERVAL
    clock.now += MIN_POLL_INTERVAL
    assert max(pauses(schedule, clock, 12)) <= QUIET_POLL_INTERVAL
    clock.now += ACTIVE_FOR
    assert pauses(schedule, clock, 2)[-1] == pytest.approx(1.0, rel=0.21)


@pytest.mark.parametrize("reason", ["wake", "again", "due"])
def test_who_finds_what_it_was_told_of_or_expected_does_not(clock: Clock, reason: str) -> None:
    schedule = told(clock)
    clock.now -= 0.1
    match reason:
        case "wake":
            schedule.wake()
        case "again":
            schedule.look_again_in(0)
        case "due":
            schedule.expect_due_in(0)
    clock.now += 2 * MIN_LOOK_INTERVAL
    look(schedule, "thread")
    assert schedule._missed_at < 0


def test_who_takes_up_what_there_was_no_room_for_does_not(clock: Clock) -> None:
    schedule = told(clock)
    look(schedule)
    schedule.wake()
    for seconds in (2 * MIN_LOOK_INTERVAL, LOOK_AGAIN_AFTER, 30.0):
        clock.now += seconds
        look(schedule, "thread", "thread")
    assert schedule._missed_at < 0


def test_a_run_that_comes_just_after_a_look_is_no_sign(clock: Clock) -> None:
    schedule = told(clock)
    schedule.wake()
    clock.now += 2 * MIN_LOOK_INTERVAL
    look(schedule, "thread")
    clock.now += MIN_POLL_INTERVAL
    look(schedule, "thread")
    assert schedule._missed_at < 0
