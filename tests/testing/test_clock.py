"""clock(): time passes for runs, and nobody has to wait for it."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from taskworks.database.clock import DatabaseClock, later
from taskworks.models import TaskRun, Worker
from taskworks.store import store
from taskworks.testing import clock, run_tasks
from tests import tasks
from tests.behavior import Settings, database_now, rewrite, run_of
from tests.behavior.test_expires import snooze_for_a_day
from tests.settings import DATABASE
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("database")

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOMENT = datetime(2050, 6, 1, 12, tzinfo=UTC)


def is_at(moment: datetime) -> bool:
    return timedelta(0) <= store().read_clock() - moment < timedelta(minutes=1)


def test_it_is_moved_by_units_and_by_timedeltas() -> None:
    before = store().read_clock()
    with clock() as moved:
        moved.advance(days=1, hours=2)
        assert is_at(before + timedelta(hours=26))
        moved.advance(-2 * HOUR)
        assert is_at(before + timedelta(days=1))


def test_it_is_moved_to_a_moment() -> None:
    with clock() as moved:
        moved.move_to(MOMENT)
        assert is_at(MOMENT)
        moved.move_to(MOMENT - HOUR)
        assert is_at(MOMENT - HOUR)
        assert is_at(moved.now())


def test_it_is_what_it_was_afterwards() -> None:
    before = store().read_clock()
    with clock() as outer:
        outer.advance(HOUR)
        with suppress(RuntimeError), clock() as inner:
            inner.advance(HOUR)
            assert is_at(before + 2 * HOUR)
            raise RuntimeError
        assert is_at(before + HOUR)
    assert DatabaseClock.moved == timedelta(0)
    assert is_at(before)


def test_it_ticks_on() -> None:
    with clock() as moved:
        moved.move_to(MOMENT)
        before = moved.now()
        wait_for(lambda: moved.now() > before, "a later time")


def test_every_time_that_is_written_is_its() -> None:
    with clock() as moved:
        moved.move_to(MOMENT)
        result = tasks.noop.enqueue()
        run_tasks()
        rewrite(result, missing_since=database_now())
    run = run_of(result)
    times = [run.enqueued_at, run.claimed_at, run.started_at, run.finished_at, run.missing_since]
    assert sorted(times) == times
    assert times[0] >= MOMENT
    assert times[-1] < MOMENT + timedelta(minutes=1)


def test_a_delay_counts_from_it() -> None:
    with clock() as moved:
        moved.move_to(MOMENT)
        result = tasks.noop.using(run_after=HOUR).enqueue()
        assert result.task.run_after == result.enqueued_at + HOUR
        moved.advance(HOUR)
        assert len(run_tasks()) == 1


def test_the_clock_of_the_process_is_not_moved() -> None:
    before = timezone.now()
    with clock() as moved:
        moved.advance(HOUR)
        assert timezone.now() - before < HOUR


def test_an_hour_is_an_hour_without_time_zones(settings: Settings) -> None:
    settings.USE_TZ = False
    result = tasks.noop.using(run_after=HOUR).enqueue()
    with clock() as moved:
        moved.move_to(result.enqueued_at + HOUR / 2)
        assert run_tasks() == []
        moved.advance(HOUR / 2)
        assert len(run_tasks()) == 1


@pytest.mark.parametrize(
    ("noon", "due"),
    [
        (datetime(2026, 3, 28, 12), datetime(2026, 3, 29, 13)),  # the next day has 23 hours
        (datetime(2026, 10, 24, 12), datetime(2026, 10, 25, 11)),  # and here it has 25
    ],
)
def test_a_day_is_24_hours_where_clocks_are_changed(
    settings: Settings, noon: datetime, due: datetime
) -> None:
    settings.USE_TZ, settings.TIME_ZONE = False, "Europe/Berlin"
    with clock() as moved:
        moved.move_to(noon)
        assert is_at(noon)
        result = tasks.noop.using(run_after=DAY).enqueue()
        run = run_of(result)
        moved.advance(DAY)
        assert is_at(due)
        assert len(run_tasks()) == 1
    assert due <= run.available_at < due + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("noon", "day_after", "two_days_after"),
    [
        (datetime(2026, 10, 23, 12), datetime(2026, 10, 24, 12), datetime(2026, 10, 25, 11)),
        (datetime(2026, 10, 24, 12), datetime(2026, 10, 25, 11), datetime(2026, 10, 26, 11)),
    ],
)
def test_so_is_what_is_put_off_and_may_wait_for_a_day(
    settings: Settings, noon: datetime, day_after: datetime, two_days_after: datetime
) -> None:
    settings.USE_TZ, settings.TIME_ZONE = False, "Europe/Berlin"
    with clock() as moved:
        moved.move_to(noon)
        result = snooze_for_a_day.using(expires=DAY).enqueue()
        before = run_of(result)
        run_tasks()
        after = run_of(result)
    for found, wanted in [
        (before.expires_at, day_after),
        (after.available_at, day_after),
        (after.expires_at, two_days_after),
    ]:
        assert found
        assert timedelta(0) <= found - wanted < timedelta(minutes=1)


@pytest.mark.skipif(DATABASE != "postgresql", reason="others know no zones")
def test_a_day_of_the_database_is_24_hours(settings: Settings) -> None:
    settings.USE_TZ, settings.TIME_ZONE = False, "Europe/Berlin"
    with clock() as moved:
        moved.move_to(datetime(2026, 10, 24, 12))
        result = tasks.noop.enqueue()
        rewrite(result, missing_since=DatabaseClock(DAY))
    day_after = run_of(result).missing_since
    assert day_after
    assert timedelta(0) <= day_after - datetime(2026, 10, 25, 11) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("now", "minutes", "then"),
    [
        ("01:30", 45, "02:15"),
        ("01:30", 90, "03:00"),  # for 02:00 comes first in summer time, which is too early
        ("02:30", 45, "03:15"),
        ("02:30", 15, "02:45"),
        ("02:30", 120, "04:30"),
        ("03:30", 15, "03:45"),
        ("01:30", 150, "03:00"),
    ],
)
def test_in_an_hour_that_comes_twice_it_is_rather_late_than_early(
    settings: Settings, now: str, minutes: int, then: str
) -> None:
    settings.USE_TZ, settings.TIME_ZONE = False, "Europe/Berlin"
    moment, end = (datetime.fromisoformat(f"2026-10-25T{time}") for time in (now, then))
    assert later(moment, timedelta(minutes=minutes)) == end


def test_a_moment_of_the_other_kind_is_refused(settings: Settings) -> None:
    with clock() as moved, pytest.raises(ValueError, match="can only be moved to aware datetimes"):
        moved.move_to(datetime(2050, 6, 1))
    settings.USE_TZ = False
    with clock() as moved, pytest.raises(ValueError, match="can only be moved to naive datetimes"):
        moved.move_to(MOMENT)


def test_no_worker_of_the_kit_is_left_by_it() -> None:
    tasks.noop.enqueue()
    with clock() as moved:
        moved.advance(HOUR)
        run_tasks()
    assert (TaskRun.objects.in_hand().count(), Worker.objects.count()) == (0, 0)
