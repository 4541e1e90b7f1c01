"""A worker's thread that fires: when it wakes, and what it costs while nothing is due."""

import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django.test.utils import CaptureQueriesContext

from taskworks.database.listener import PipeEvent
from taskworks.database.payloads import SCHEDULE_SAVED
from taskworks.duties import scheduler as module
from taskworks.duties.scheduler import Scheduler
from taskworks.models import Firing, Schedule
from taskworks.store import store
from taskworks.store.scheduling import Scheduling
from tests.connections import held_elsewhere
from tests.schedules.firing import fire_all, planned_times, scheduled
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = timedelta(seconds=1)


@pytest.fixture
def thread() -> Iterator[Scheduler]:
    thread = Scheduler(store(), is_notified=lambda: False)
    thread.start()
    yield thread
    thread.stop()
    assert not thread.is_alive()


def test_seconds_mean_seconds(thread: Scheduler) -> None:
    schedule = scheduled(cron="* * * * * *")
    thread.wake()
    wait_for(lambda: len(planned_times(schedule)) >= 4, "it fires every second")
    times = planned_times(schedule)
    assert {later - earlier for earlier, later in itertools.pairwise(times)} == {SECOND}
    late = [firing.fired_at - firing.planned_at for firing in Firing.objects.all()]
    assert min(late) >= timedelta()


def test_it_waits_until_the_next_planned_time_and_a_moment_more() -> None:
    planned = scheduled(cron="0 0 1 1 *").next_run
    assert planned
    before = store().read_clock()
    pause = timedelta(seconds=Scheduler(store(), lambda: False)._fire())
    after = store().read_clock()
    assert planned - after <= pause <= planned - before + module.SPREAD * SECOND


def test_it_finds_by_itself_that_one_is_made_or_edited(thread: Scheduler) -> None:
    far = scheduled(label="far", cron="0 0 1 1 *")
    thread.begin()  # as with every heartbeat
    near = scheduled(label="near", wait_for_schedule=False)
    wait_for(lambda: planned_times(near), "the new one fires")
    far.cron = "* * * * * *"
    far.save()
    wait_for(lambda: planned_times(far), "the edited one fires")


def test_without_a_schedule_it_asks_once_and_rests(
    thread: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    agenda = Scheduling.schedule_agenda
    monkeypatch.setattr(Scheduling, "schedule_agenda", lambda self: asked.append(1) or agenda(self))
    for times in (1, 2, 3):
        thread.wake()
        wait_for(lambda n=times: len(asked) >= n and not thread.is_at_work, "it rests again")
        assert len(asked) == times  # and never without being woken


def test_an_error_of_the_database_is_weather(
    thread: Scheduler, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [OperationalError("gone"), OperationalError("still gone"), ValueError("odd")]
    fire_some = module.fire_some

    def fail(*given: Any) -> int:
        if failures:
            raise failures.pop()
        return fire_some(*given)

    monkeypatch.setattr(module, "fire_some", fail)
    schedule = scheduled(wait_for_schedule=False)
    thread.wake()
    wait_for(lambda: planned_times(schedule), "it fires after all")
    assert "still gone" in caplog.text or "odd" in caplog.text


def test_a_row_that_is_held_for_long_is_asked_for_ever_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    monkeypatch.setattr(module, "_spread", lambda seconds: seconds)
    schedule = scheduled(wait_for_schedule=False)
    rows, scheduler = Schedule.objects.select_for_update(), Scheduler(store(), lambda: False)
    with held_elsewhere(lambda: rows.get(pk=schedule.pk)):
        pauses = [scheduler._fire() for _ in range(10)]
    assert pauses[0] == 2 * module.SPREAD
    assert pauses == sorted(pauses)
    assert pauses[-1] == module.POLL_INTERVAL
    scheduler._fire()
    assert planned_times(schedule)
    assert scheduler._others_fire.take() == 2 * module.SPREAD


def test_to_be_told_of_one_is_to_look(thread: Scheduler) -> None:
    if not store().can_notify:
        pytest.skip("this database tells nobody")
    told: list[str] = []
    listener = store().listener()
    assert listener is not None
    with listener:
        listener.listen()
        scheduled()
        never = PipeEvent()
        wait_for(lambda: told.extend(listener.wait(1, never)) or SCHEDULE_SAVED in told, "told")


def test_what_is_due_costs_few_statements() -> None:
    """A transaction, the rows, its clock; and of each: what was fired, run, firing, plan."""
    for number in range(10):
        scheduled(label=f"bell {number}", wait_for_schedule=False)
    with CaptureQueriesContext(connections["default"]) as queries:
        fire_all()
    assert not Schedule.objects.filter(last_run=None).exists()
    assert len(queries) <= 12 + 10 * 4
