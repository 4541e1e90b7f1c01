"""A planned time is fired once: when, what is then written, and what if something is in the way."""

from contextlib import suppress
from datetime import datetime, timedelta
from threading import Event
from typing import Any

import pytest
from cronsim import CronSim
from django.db import DatabaseError, IntegrityError, connection, transaction

from taskworks.database.clock import DatabaseClock
from taskworks.duties.unblock import unblock_all
from taskworks.models import Firing, RunState, Schedule, TaskRun
from taskworks.schedules import due_times, firing
from taskworks.schedules.firing import fire, fire_now
from taskworks.store import store
from taskworks.store.scheduling import Scheduling
from taskworks.testing.moving_clock import Clock, clock
from tests.behavior import run_worker
from tests.connections import begin_elsewhere, can_end_transactions, elsewhere, held_elsewhere
from tests.schedules import bell
from tests.schedules.firing import HOUR, at, fire_all, fire_due, planned_times, runs_of, scheduled
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
START = at("2026-06-01 10:30")


@pytest.fixture
def now() -> Any:
    with clock() as now:
        now.move_to(START)
        yield now


def hour(number: int) -> Any:
    return at("2026-06-01 00:00") + number * HOUR


def test_it_fires_when_it_is_due_and_not_before(now: Clock) -> None:
    schedule = scheduled(bell.ring, kwargs={"times": 2})
    now.move_to(hour(11) - timedelta(seconds=1))
    assert fire_all() == 0
    now.move_to(hour(11))
    assert fire_all() == 1
    assert fire_all() == 0
    assert planned_times(schedule) == [hour(11)]
    schedule.refresh_from_db()
    assert (schedule.next_run, schedule.fired, schedule.error) == (hour(12), 1, "")
    assert hour(11) <= schedule.last_run < hour(11) + MINUTE


def test_the_run_knows_its_schedule_and_its_planned_time(now: Clock) -> None:
    schedule = scheduled(bell.ring, kwargs={"times": 2}, options={"queue_name": "mail"})
    now.move_to(hour(11))
    fire_all()
    run_worker()
    [run] = runs_of(schedule)
    assert run.state == RunState.SUCCESSFUL
    assert run.queue_name == "mail"
    assert run.return_value == ["2026-06-01T11:00:00+00:00", "bell", 2]
    assert run.metadata["taskworks.schedule"]["id"] == schedule.pk


def test_a_task_cannot_lose_it_by_saving_other_metadata(now: Clock) -> None:
    schedule = scheduled(bell.forget)
    now.move_to(hour(11))
    fire_all()
    run_worker()
    [run] = runs_of(schedule)
    assert run.return_value == "2026-06-01T11:00:00+00:00"


def test_a_run_of_nobody_has_no_planned_time() -> None:
    result = bell.ring.enqueue()
    run_worker()
    result.refresh()
    assert result.return_value == [None, None, 1]


# Many at once.


def test_one_that_another_worker_is_about_to_fire_is_left_to_it(now: Clock) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    schedule = scheduled()
    now.move_to(hour(11))
    with held_elsewhere(lambda: fire(schedule.pk)):
        assert fire_due(store()) == 0
    assert planned_times(schedule) == [hour(11)]


def test_a_worker_that_is_frozen_in_the_middle_holds_up_the_others_for_a_while_only(
    now: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its transactions have a limit, as those of a worker's scheduler have."""
    if not can_end_transactions():
        pytest.skip("this database does not end the transactions of others")
    schedule = scheduled()
    now.move_to(hour(11))
    frozen, wakes = Event(), Event()

    def freeze(*args: Any, **kwargs: Any) -> Any:
        if not frozen.is_set():
            frozen.set()
            wakes.wait(30)
        return enqueue(*args, **kwargs)

    enqueue = firing._enqueue
    monkeypatch.setattr(firing, "_enqueue", freeze)

    monkeypatch.setattr("taskworks.store.base.MAX_SILENCE_WITH_LOCKS", timedelta(seconds=1))
    other = begin_elsewhere(lambda: fire_due(store()))
    assert frozen.wait(30)
    assert fire_due(store()) == 0
    wait_for(lambda: fire_due(store()), "its transaction is ended")
    wakes.set()
    with suppress(DatabaseError):
        other.result(timeout=30)
    assert planned_times(schedule) == [hour(11)]
    assert TaskRun.objects.count() == 1


def test_who_was_frozen_for_too_long_blames_no_schedule(
    now: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not can_end_transactions():
        pytest.skip("this database does not end the transactions of others")
    schedule = scheduled()
    now.move_to(hour(11))
    frozen, wakes = Event(), Event()

    def freeze(*args: Any, **kwargs: Any) -> Any:
        frozen.set()
        wakes.wait(30)
        return enqueue(*args, **kwargs)

    enqueue = firing._enqueue
    monkeypatch.setattr(firing, "_enqueue", freeze)
    monkeypatch.setattr("taskworks.store.base.MAX_SILENCE_WITH_LOCKS", timedelta(seconds=1))

    other = begin_elsewhere(lambda: fire(schedule.pk))
    assert frozen.wait(30)
    wait_for(lambda: held_by_nobody(schedule), "its transaction is ended")
    wakes.set()
    with pytest.raises(DatabaseError):
        other.result(timeout=30)
    assert Schedule.objects.get().error == ""


def held_by_nobody(schedule: Schedule) -> bool:
    with transaction.atomic():
        rows = Schedule.objects.select_for_update(skip_locked=True)
        return bool(rows.filter(pk=schedule.pk))


def test_an_edit_waits_for_a_firing_and_wins(now: Clock) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    schedule = scheduled()
    now.move_to(hour(11))
    edited = Schedule.objects.get()
    edited.cron = "45 * * * *"
    with held_elsewhere(lambda: fire(schedule.pk)):
        editing = begin_elsewhere(edited.save)
    editing.result(timeout=30)
    schedule.refresh_from_db()
    assert (schedule.cron, schedule.next_run) == ("45 * * * *", hour(11) + 45 * MINUTE)
    assert (schedule.fired, planned_times(schedule)) == (1, [hour(11)])


def test_whoever_comes_second_fires_nothing(now: Clock) -> None:
    made = [scheduled(label=f"bell {n}") for n in range(20)]
    now.move_to(hour(11))
    others = [begin_elsewhere(fire_all) for _ in range(4)]
    mine = fire_all()
    assert mine + sum(other.result(timeout=30) for other in others) == 20
    for schedule in made:
        assert planned_times(schedule) == [hour(11)]
    assert TaskRun.objects.count() == 20


def test_a_planned_time_that_was_fired_is_not_fired_again(now: Clock) -> None:
    schedule = scheduled()
    now.move_to(hour(11))
    fire_all()
    Schedule.objects.update(next_run=hour(11), due_at=hour(11))
    assert fire_all() == 1
    assert planned_times(schedule) == [hour(11)]
    assert TaskRun.objects.count() == 1
    schedule.refresh_from_db()
    assert (schedule.fired, schedule.next_run) == (1, hour(12))
    with pytest.raises(IntegrityError), transaction.atomic():
        Firing.objects.create(schedule=schedule, planned_at=hour(11), fired_at=hour(11))


def test_an_edit_during_a_firing_is_not_undone_and_undoes_nothing(now: Clock) -> None:
    schedule = scheduled()
    edited = Schedule.objects.get()
    now.move_to(hour(11))
    fire_all()
    edited.label = "edited"
    elsewhere(edited.save)
    schedule.refresh_from_db()
    assert (schedule.label, schedule.next_run, schedule.fired) == ("edited", hour(12), 1)
    assert fire_all() == 0


def test_an_edit_takes_effect_at_once(now: Clock) -> None:
    schedule = scheduled()
    schedule.cron = "45 * * * *"
    schedule.save()
    now.move_to(hour(11))
    assert fire_all() == 1
    assert planned_times(schedule) == [START + 15 * MINUTE]


# What was missed.


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("skip", []),
        ("one", [13]),
        (2, [12, 13]),
        (3, [11, 12, 13]),
        (50, [11, 12, 13]),
    ],
)
def test_three_hours_without_a_worker(now: Clock, catch_up: Any, expected: list[int]) -> None:
    schedule = scheduled(catch_up=catch_up)
    now.move_to(START + 3 * HOUR)
    fire_all()
    assert planned_times(schedule) == [hour(number) for number in expected]
    assert len(runs_of(schedule)) == len(expected)
    schedule.refresh_from_db()
    assert (schedule.next_run, schedule.fired) == (hour(14), len(expected))


@pytest.mark.parametrize(
    ("catch_up", "expected"), [("skip", 10), ("one", 11), (5, 15), (200, 210), (20_000, 1800)]
)
def test_half_an_hour_of_every_second(
    now: Clock, monkeypatch: pytest.MonkeyPatch, catch_up: Any, expected: int
) -> None:
    """The latest ten seconds are late, and not missed."""
    schedule = scheduled(cron="* * * * * *", catch_up=catch_up)
    stop_clock(monkeypatch, START + 30 * MINUTE + timedelta(seconds=0.5))
    while fire_due(store()):
        schedule.refresh_from_db()
        if schedule.next_run > START + 30 * MINUTE:
            break
    times = planned_times(schedule)
    assert len(times) == expected
    assert times[-10:] == [START + 30 * MINUTE - timedelta(seconds=n) for n in range(9, -1, -1)]
    assert len({*times}) == len(times)


def test_the_cost_of_making_up_does_not_grow_with_how_much_there_is(
    now: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A month of every second: minutes are counted once, and then only what is fired."""
    steps = counted_steps(monkeypatch)
    schedule = scheduled(cron="* * * * * *", catch_up=2_000_000)
    now.move_to(START + timedelta(days=30))
    costs = []
    for _ in range(3):
        steps.clear()
        assert fire_due(store()) == 1
        costs.append(len(steps))
    minutes = 30 * 24 * 60
    assert costs[0] < 3 * minutes
    assert max(costs[1:]) < 3 * due_times.MAX_TIMES_AT_ONCE
    times = planned_times(schedule)
    assert len(times) == 3 * due_times.MAX_TIMES_AT_ONCE
    assert times[-1] - times[0] == timedelta(seconds=len(times) - 1)
    missed = START + timedelta(days=30) - due_times.MISSED_AFTER - times[0]
    assert -1 <= missed.total_seconds() - 2_000_000 < 60  # which the test may take


def counted_steps(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """An entry for each local time that is computed from now on."""
    steps: list[None] = []
    following = CronSim.__next__

    def step(self: CronSim) -> Any:
        steps.append(None)
        return following(self)

    monkeypatch.setattr(CronSim, "__next__", step)
    return steps


def test_what_is_missed_while_it_makes_up_for_others_is_made_up_next(now: Clock) -> None:
    schedule = scheduled(cron="* * * * *", catch_up=150)
    now.move_to(START + 10 * HOUR)
    assert fire_due(store()) == 1
    schedule.refresh_from_db()
    assert schedule.behind_until is not None
    now.advance(2 * HOUR)
    fire_all()
    times = planned_times(schedule)
    assert times[0] == START + 10 * HOUR - 150 * MINUTE
    assert times[-1] == START + 12 * HOUR
    assert len(times) == 150 + 1 + 120
    schedule.refresh_from_db()
    assert schedule.behind_until is None


@pytest.mark.parametrize(("catch_up", "expected"), [("skip", 0), (7, 7), (200, 200)])
def test_another_catch_up_takes_effect_while_it_makes_up(
    now: Clock, catch_up: Any, expected: int
) -> None:
    schedule = scheduled(cron="* * * * *", catch_up=500)
    now.move_to(START + 10 * HOUR + 30 * SECOND)
    edited = Schedule.objects.get()
    assert fire_due(store()) == 1
    edited.catch_up = catch_up
    edited.save(update_fields=["catch_up"])
    fire_all()
    assert len(planned_times(schedule)) == due_times.MAX_TIMES_AT_ONCE + expected


def test_another_timing_ends_the_making_up(now: Clock) -> None:
    schedule = scheduled(cron="* * * * *", catch_up=500)
    now.move_to(START + 10 * HOUR + 30 * SECOND)
    assert fire_due(store()) == 1
    schedule.refresh_from_db()
    schedule.cron = "*/2 * * * *"
    schedule.save()
    assert schedule.behind_until is None
    assert fire_all() == 0


def test_its_end_and_its_start_bound_what_is_made_up(now: Clock) -> None:
    schedule = scheduled(
        cron="* * * * *",
        catch_up=3,
        start_running=START + HOUR,
        end_running=START + HOUR + 5 * MINUTE,
    )
    now.move_to(START + 3 * HOUR)
    fire_all()
    expected = [START + HOUR + minutes * MINUTE for minutes in (2, 3, 4)]
    assert planned_times(schedule) == expected


def stop_clock(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    """However long it takes to fire, to whoever fires it is this moment."""
    stored = connection.ops.adapt_datetimefield_value

    def stopped(clock: DatabaseClock, *given: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        casts = {"postgresql": "%s::timestamptz", "mysql": "CAST(%s AS DATETIME(6))"}
        return casts.get(connection.vendor, "%s"), (stored(moment + clock.offset),)

    monkeypatch.setattr(DatabaseClock, f"as_{connection.vendor}", stopped)
    monkeypatch.setattr(type(store()), "read_clock", lambda self: moment)


def test_what_is_a_little_late_is_not_missed(now: Clock) -> None:
    schedule = scheduled(catch_up="skip")
    now.move_to(hour(12) + timedelta(seconds=5))
    fire_all()
    assert planned_times(schedule) == [hour(12)]


# What is under way.


def test_run_beside_what_is_under_way(now: Clock) -> None:
    schedule = scheduled(overlap="run")
    for number in (11, 12):
        now.move_to(hour(number))
        fire_all()
    assert [run.state for run in runs_of(schedule)] == ["ready", "ready"]
    assert schedule.running


def test_skip_while_one_is_under_way(now: Clock) -> None:
    schedule = scheduled(overlap="skip")
    for number in (11, 12):
        now.move_to(hour(number))
        fire_all()
    assert planned_times(schedule) == [hour(11)]
    schedule.refresh_from_db()
    assert (schedule.next_run, schedule.fired) == (hour(13), 1)
    run_worker()
    assert not schedule.running
    now.move_to(hour(13))
    fire_all()
    assert planned_times(schedule) == [hour(11), hour(13)]


@pytest.mark.parametrize("task", [bell.noop, bell.fail])
def test_queue_behind_what_is_under_way_however_that_ends(now: Clock, task: Any) -> None:
    schedule = scheduled(task, overlap="queue")
    for number in (11, 12, 13):
        now.move_to(hour(number))
        fire_all()
    assert [run.state for run in runs_of(schedule)] == ["ready", "blocked", "blocked"]
    run_worker()
    first, second, third = runs_of(schedule)
    assert first.finished_at <= second.started_at
    assert second.finished_at <= third.started_at


def test_queue_behind_one_that_is_cancelled(now: Clock) -> None:
    schedule = scheduled(overlap="queue")
    for number in (11, 12):
        now.move_to(hour(number))
        fire_all()
    runs_of(schedule)[0].to_result().cancel()
    unblock_all(store())
    assert [run.state for run in runs_of(schedule)] == ["cancelled", "ready"]


def test_cancel_what_is_under_way(now: Clock) -> None:
    schedule = scheduled(overlap="cancel_previous")
    for number in (11, 12):
        now.move_to(hour(number))
        fire_all()
    assert [run.state for run in runs_of(schedule)] == ["cancelled", "ready"]


# How long.


def test_iterations_are_counted_when_it_fires(now: Clock) -> None:
    schedule = scheduled(iterations=2, catch_up=10)
    now.move_to(hour(15))
    fire_all()
    assert planned_times(schedule) == [hour(11), hour(12)]
    schedule.refresh_from_db()
    assert (schedule.enabled, schedule.next_run, schedule.fired) == (False, None, 2)
    assert schedule.finished_at is not None
    schedule.iterations = 3
    schedule.save()
    assert schedule.enabled
    now.move_to(hour(16))
    fire_all()
    assert len(planned_times(schedule)) == 3


def test_it_ends_with_its_last_planned_time_before_the_end(now: Clock) -> None:
    schedule = scheduled(end_running=hour(13), catch_up=10)
    now.move_to(hour(11))
    fire_all()
    now.move_to(hour(15))
    fire_all()
    assert planned_times(schedule) == [hour(11), hour(12)]
    schedule.refresh_from_db()
    assert (schedule.enabled, schedule.next_run) == (False, None)


def test_jitter_delays_the_run_and_not_the_plan(now: Clock) -> None:
    schedule = scheduled(jitter=60)
    now.move_to(hour(11))
    fire_all()
    [run] = runs_of(schedule)
    assert run.state == RunState.SCHEDULED
    assert hour(11) < run.run_after < hour(11) + 2 * MINUTE
    assert planned_times(schedule) == [hour(11)]


# What cannot fire.


def test_one_that_cannot_fire_is_marked_and_starves_no_other(now: Clock) -> None:
    bad = [scheduled(label=f"bad {n}") for n in range(60)]
    Schedule.objects.update(path="tests.schedules.bell.gone")
    good = scheduled(label="good")
    now.move_to(hour(11))
    fire_all()
    assert planned_times(good) == [hour(11)]
    marked = Schedule.objects.unable()
    assert marked.count() == len(bad)
    assert "tests.schedules.bell.gone" in marked[0].error
    assert marked[0].next_run == hour(11)


def test_it_is_tried_again_after_a_minute_and_then_well(now: Clock) -> None:
    schedule = scheduled()
    Schedule.objects.update(path="tests.schedules.bell.gone")
    now.move_to(hour(11))
    fire_all()
    Schedule.objects.update(path="tests.schedules.bell.noop")
    assert fire_all() == 0
    now.advance(firing.RETRY_AFTER)
    fire_all()
    schedule.refresh_from_db()
    assert planned_times(schedule) == [hour(11)]
    assert schedule.error == ""


@pytest.mark.parametrize(
    "columns",
    [
        {"cron": "* * *"},
        {"timezone": "Mars/Olympus"},
        {"options": {"priority": 5000}},
        {"kwargs": {"times": 5}, "options": {"queue_name": "nowhere"}},
        {"path": "tests.schedules.exits.noop"},
        {"path": "tests.schedules.exits.hear", "kind": "function"},
    ],
)
def test_whatever_somebody_has_written_past_validation(now: Clock, columns: dict[str, Any]) -> None:
    scheduled(label="bad")
    good = scheduled(label="good")
    Schedule.objects.filter(label="bad").update(**columns)
    now.move_to(hour(11))
    fire_all()
    assert planned_times(good) == [hour(11)]
    assert Schedule.objects.get(label="bad").error


def test_what_fails_in_the_middle_leaves_nothing_and_harms_no_other(
    now: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = scheduled(label="bad", catch_up=5), scheduled(label="good")
    enqueue = firing._enqueue

    def fail(task: Any, schedule: Schedule, planned: Any, after: Any = None) -> Any:
        if schedule.label == "bad" and planned == hour(12):
            raise RuntimeError("in the middle")
        return enqueue(task, schedule, planned, after)

    monkeypatch.setattr(firing, "_enqueue", fail)
    now.move_to(hour(12))
    fire_all()
    assert planned_times(bad) == []
    assert planned_times(good) == [hour(11), hour(12)]
    assert TaskRun.objects.count() == 2
    assert Schedule.objects.get(label="bad").error == "RuntimeError: in the middle"


def test_one_that_another_worker_has_fired_meanwhile_is_not_marked(
    now: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = scheduled()
    mark = Scheduling.mark_schedule_error

    def fail(*given: Any, **more: Any) -> Any:
        raise RuntimeError("here only")

    def mark_late(*given: Any) -> None:
        monkeypatch.undo()
        assert elsewhere(fire_all) == 1
        mark(*given)

    monkeypatch.setattr(firing, "_enqueue", fail)
    monkeypatch.setattr(Scheduling, "mark_schedule_error", mark_late)
    now.move_to(hour(11))
    fire_all()
    schedule.refresh_from_db()
    assert planned_times(schedule) == [hour(11)]
    assert (schedule.error, schedule.due_at) == ("", hour(12))


# On other backends.


def test_what_is_executed_at_once_is_so_after_the_firing_and_once(now: Clock) -> None:
    bell.was_in_transaction.clear()
    bad = scheduled(bell.break_transaction, label="bad", options={"backend": "immediate"})
    good = scheduled(label="good")
    now.move_to(hour(11))
    assert fire_all() == 2
    assert bell.was_in_transaction == [False]
    assert planned_times(bad) == planned_times(good) == [hour(11)]
    [run] = TaskRun.objects.all()
    assert [firing.run for firing in (bad.firings.get(), good.firings.get())] == [None, run.id]


@pytest.mark.usefixtures("now")
def test_what_is_executed_at_once_may_fail_when_it_is_run_now() -> None:
    bell.was_in_transaction.clear()
    schedule = scheduled(bell.break_transaction, options={"backend": "immediate"})
    assert fire_now(schedule).status == "FAILED"
    assert bell.was_in_transaction == [False]
    assert schedule.firings.get().run is None


# Now.


def test_a_run_now_changes_nothing_of_the_plan(now: Clock) -> None:
    schedule = scheduled(bell.ring, iterations=1)
    result = fire_now(schedule)
    run_worker()
    result.refresh()
    assert result.return_value[0].startswith("2026-06-01T10:30")
    schedule.refresh_from_db()
    assert (schedule.next_run, schedule.fired) == (hour(11), 0)
    assert schedule.firings.count() == 1


def test_one_that_is_due_fires_in_the_transaction_of_who_saves_it(now: Clock) -> None:
    with transaction.atomic():
        schedule = scheduled(wait_for_schedule=False, iterations=1)
        assert fire(schedule.pk)
        assert not fire(schedule.pk)
    schedule.refresh_from_db()
    assert (schedule.fired, schedule.enabled) == (1, False)


# Callables.


def test_a_callable_gets_one_message_and_its_userdata_is_saved(now: Clock) -> None:
    bell.heard.clear()
    schedule = scheduled("tests.schedules.bell.hear", userdata={"text": "ding"})
    now.move_to(hour(11))
    fire_all()
    Schedule.objects.update(label="edited meanwhile")
    run_worker()
    [run] = runs_of(schedule)
    assert run.state == RunState.SUCCESSFUL, run.errors
    [message] = bell.heard
    assert message["message"] == message["channel_message"]
    assert message["message"]["id"] == schedule.pk
    assert message["message"]["scheduled_for"] == hour(11)
    stored = Schedule.objects.get()
    assert stored.userdata == {"text": "ding", "heard": 1}
    assert (stored.label, stored.next_run) == ("edited meanwhile", hour(12))


def test_userdata_that_is_changed_in_place_is_saved_too(now: Clock) -> None:
    scheduled("tests.schedules.bell.change_in_place")
    now.move_to(hour(11))
    fire_all()
    run_worker()
    assert Schedule.objects.get().userdata == {"changed": True}


@pytest.mark.usefixtures("now")
def test_a_callable_may_delete_its_schedule() -> None:
    schedule = scheduled("tests.schedules.bell.be_the_last", wait_for_schedule=False)
    fire_all()
    [run] = runs_of(schedule)
    run_worker()
    run.refresh_from_db()
    assert run.state == RunState.SUCCESSFUL, run.errors
    assert not Schedule.objects.exists()


def test_a_callable_that_fails_fails_its_run(now: Clock) -> None:
    schedule = scheduled("tests.schedules.bell.say_no", options={"max_attempts": 1})
    now.move_to(hour(11))
    fire_all()
    run_worker()
    [run] = runs_of(schedule)
    assert run.state == RunState.FAILED
    assert run.errors[0]["exception_class_path"] == "builtins.ValueError"
    assert Schedule.objects.get().userdata == {}


def test_a_run_whose_schedule_is_gone_fails_and_says_so(now: Clock) -> None:
    schedule = scheduled("tests.schedules.bell.hear")
    now.move_to(hour(11))
    fire_all()
    [run] = runs_of(schedule)
    schedule.delete()
    run_worker()
    run.refresh_from_db()
    assert run.state == RunState.FAILED
    assert "has been deleted" in run.errors[0]["traceback"]
