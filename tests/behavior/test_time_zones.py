"""Projects without time zones, and with those that are not UTC."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from taskworks import TaskResultStatus
from taskworks.store import store
from taskworks.testing import clock, run_tasks
from tests import tasks
from tests.behavior import Settings, database_now, executed, rewrite, run_of

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata"])
class TestWithoutTimeZones:
    @pytest.fixture(autouse=True)
    def without(self, settings: Settings, zone: str) -> None:
        settings.USE_TZ = False
        settings.TIME_ZONE = zone

    def test_a_run_is_enqueued_and_executed(self) -> None:
        result = executed(tasks.add.enqueue(1, 2))
        assert result.return_value == 3
        assert result.enqueued_at <= result.started_at <= result.finished_at
        assert result.enqueued_at.tzinfo is None

    def test_times_are_local(self, zone: str) -> None:
        result = tasks.noop.enqueue()
        here = datetime.now(ZoneInfo(zone)).replace(tzinfo=None)
        assert abs(result.enqueued_at - here) < timedelta(minutes=1)
        assert tasks.noop.get_result(result.id) == result

    def test_a_failure_is_written(self) -> None:
        assert executed(tasks.fail.enqueue()).status is TaskResultStatus.FAILED

    @pytest.mark.parametrize("how", ["delay", "time"])
    def test_a_run_waits_for_its_time(self, how: str) -> None:
        run_after: Any = HOUR if how == "delay" else store().read_clock() + HOUR
        tasks.noop.using(run_after=run_after).enqueue()
        assert run_tasks() == []
        with clock() as moved:
            moved.advance(HOUR)
            assert len(run_tasks()) == 1

    def test_a_run_whose_time_has_passed_is_ready(self) -> None:
        result = tasks.noop.using(run_after=store().read_clock() - HOUR).enqueue()
        assert run_of(result).state == "ready"


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata"])
def test_with_time_zones_times_are_points_in_time(settings: Settings, zone: str) -> None:
    settings.TIME_ZONE = zone
    moment = datetime(2100, 7, 1, 12, tzinfo=ZoneInfo("America/New_York"))
    result = tasks.noop.using(run_after=moment).enqueue()
    assert tasks.noop.get_result(result.id).task.run_after == moment
    assert abs(result.enqueued_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_the_clock_of_a_statement_is_the_clock_that_is_read() -> None:
    result = tasks.noop.enqueue()
    before = store().read_clock()
    rewrite(result, enqueued_at=database_now())
    result.refresh()
    assert before <= result.enqueued_at <= store().read_clock()
