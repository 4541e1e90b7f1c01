"""Projects that are set up in other ways: without time zones, with tables elsewhere, a replica."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from taskworks.models import Firing, RunState, Schedule, TaskRun
from taskworks.schedules.firing import fire_now
from taskworks.store import store
from taskworks.testing import clock, run_tasks
from tests.behavior import Settings
from tests.schedules import bell
from tests.schedules.firing import HOUR, fire_all, fire_due, planned_times, runs_of, scheduled

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "queue"])

NIGHT = datetime(2026, 10, 25)  # when clocks go back at 3
MINUTE = timedelta(minutes=1)


@pytest.fixture
def _without_time_zones(settings: Settings) -> None:
    settings.USE_TZ, settings.TIME_ZONE = False, "Europe/Berlin"


@pytest.mark.usefixtures("_without_time_zones")
def test_without_time_zones() -> None:
    with clock() as now:
        now.move_to(NIGHT - 12 * HOUR)
        schedule = scheduled(
            bell.ring, timezone="America/New_York", start_running=NIGHT - 11 * HOUR
        )
        assert schedule.next_run == NIGHT - 11 * HOUR
        now.move_to(NIGHT - 11 * HOUR)
        fire_all()
        assert planned_times(schedule) == [NIGHT - 11 * HOUR]
        [result] = run_tasks()
        assert result.return_value[0] == "2026-10-24T11:00:00+00:00"
        schedule.refresh_from_db()
        assert (schedule.next_run, schedule.error) == (NIGHT - 10 * HOUR, "")


@pytest.mark.usefixtures("_without_time_zones")
@pytest.mark.parametrize("cron", ["*/10 * * * *", "*/10 0-6 * * *"])
def test_without_time_zones_the_hour_that_comes_twice_is_one(cron: str) -> None:
    with clock() as now:
        now.move_to(NIGHT + 2 * HOUR + 45 * MINUTE)
        schedule = scheduled(cron=cron, timezone="Europe/Berlin")
        for _ in range(9):
            now.advance(10 * MINUTE)
            fire_due(store())
            assert fire_due(store()) == 0
    times = planned_times(schedule)
    assert times[:2] == [NIGHT + 2 * HOUR + 50 * MINUTE, NIGHT + 3 * HOUR]
    assert len({*times}) == len(times)


def test_with_the_tables_on_another_alias(settings: Settings) -> None:
    settings.DATABASE_ROUTERS = ["tests.behavior.test_transactional.ToTheQueue"]
    schedule = scheduled(bell.hear, overlap="skip")
    once = Schedule.run_once(bell.hear)
    with clock() as now:
        now.advance(HOUR)
        fire_all()
        now.advance(HOUR)
        fire_all()
        assert len(planned_times(schedule)) == len(planned_times(once)) == 1
        run_tasks()
    assert [run.state for run in runs_of(schedule)] == [RunState.SUCCESSFUL]
    assert Schedule.objects.using("queue").get(pk=once.pk).userdata
    assert not Schedule.objects.using("default").exists()


class ReadFromTheReplica:
    """The other database stands for one that is so late that it has nothing yet."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "queue"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"


def test_what_is_run_at_once_is_read_from_no_replica(settings: Settings) -> None:
    settings.DATABASE_ROUTERS = [f"{__name__}.ReadFromTheReplica"]
    once = Schedule.run_once(bell.hear)
    assert (once.fired, once.enabled) == (1, False)


def test_a_schedule_that_a_replica_has_shown_is_fired_where_rows_are_written(
    settings: Settings,
) -> None:
    settings.DATABASE_ROUTERS = [f"{__name__}.ReadFromTheReplica"]
    Schedule.objects.using("queue").bulk_create([scheduled()])
    fire_now(Schedule.objects.get())
    assert Firing.objects.using("default").get().run == TaskRun.objects.using("default").get().id
    assert not Firing.objects.using("queue").exists()


def test_userdata_is_saved_whatever_a_replica_says(settings: Settings) -> None:
    settings.DATABASE_ROUTERS = [f"{__name__}.ReadFromTheReplica"]
    once = Schedule.run_once(bell.hear)
    run_tasks()
    assert Schedule.objects.using("default").get(pk=once.pk).userdata


@pytest.mark.parametrize("overlap", ["skip", "queue", "cancel_previous"])
def test_firing_asks_no_replica(settings: Settings, overlap: str) -> None:
    settings.DATABASE_ROUTERS = [f"{__name__}.ReadFromTheReplica"]
    schedule = scheduled(overlap=overlap)
    with clock() as now:
        now.advance(HOUR)
        fire_all()
        now.advance(HOUR)
        fire_all()
    firings = schedule.firings.using("default").order_by("planned_at")
    runs = TaskRun.objects.using("default").in_bulk(firings.values_list("run", flat=True))
    assert [runs[firing.run].state for firing in firings] == {
        "skip": [RunState.READY],
        "queue": [RunState.READY, RunState.BLOCKED],
        "cancel_previous": [RunState.CANCELLED, RunState.READY],
    }[overlap]
