"""What a schedule may be, and what saving it does."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from taskworks.models import FAR_FUTURE, HAS_NOT_RUN, Schedule
from taskworks.store import store
from taskworks.testing.moving_clock import clock
from tests.schedules.bell import noop, ring
from tests.schedules.firing import HOUR, fire_all, scheduled

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)

THE_END = datetime.max.replace(tzinfo=UTC)
BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "three fields": ({"cron": "* * *"}, "cron", "3 fields"),
    "61": ({"cron": "61 * * * *"}, "cron", "minute"),
    "30 February": ({"cron": "0 0 30 2 *"}, "cron", "never comes"),
    "no timetable": ({"cron": ""}, "cron", "neither is given"),
    "two": ({"cron": "* * * * *", "interval": 5}, "cron", "both are given"),
    "a short interval": ({"cron": "", "interval": 0.5}, "interval", "at least one second"),
    "a negative one": ({"cron": "", "interval": timedelta(-1)}, "interval", "at least one second"),
    "a zone": ({"timezone": "Mars/Olympus"}, "timezone", "'Mars/Olympus' is not a time zone"),
    "an end before the start": (
        {"start_running": NOON, "end_running": NOON - HOUR},
        "end_running",
        "must be after the start",
    ),
    "an end that is over": ({"end_running": HAS_NOT_RUN + HOUR}, "end_running", "no planned time"),
    "a start that never comes": ({"start_running": THE_END}, "start_running", "no planned time"),
    "an interval without end": (
        {"cron": "", "interval": timedelta.max}, "interval", "no planned time"
    ),
    "a naive start": ({"start_running": datetime(2026, 1, 1)}, "start_running", "zone"),
    "iterations": ({"iterations": -1}, "iterations", "greater than or equal to 0"),
    "overlap": ({"overlap": "perhaps"}, "overlap", "perhaps"),
    "catch_up": ({"catch_up": "all"}, "catch_up", "'all'"),
    "catch_up below 0": ({"catch_up": -1}, "catch_up", "0"),
    "jitter": ({"jitter": -1}, "jitter", "0 or more"),
    "no such task": ({"path": "tests.schedules.bell.gone"}, "path", "leads to nothing"),
    "no path": ({"path": "bell"}, "path", "full dotted path"),
    "another kind": ({"kind": "function"}, "kind", "is a task"),
    "a wrong signature": ({"path": "tests.schedules.shelf.of_two", "kind": "function"}, "path",
                          "must take one argument"),
    "arguments": ({"args": [1]}, "args", "does not take these"),
    "keywords": ({"kwargs": {"a": 1}}, "args", "does not take these"),
    "args that are text": ({"args": "x"}, "args", "JSON"),
    "inputs": (
        {"path": "tests.typed.declared.Sum.task", "kwargs": {"numbers": ["x"]}},
        "kwargs", "numbers: [0]: Input should be a valid number",
    ),
    "args no list": ({"args": {"a": 1}}, "args", "list"),
    "userdata": ({"userdata": [1]}, "userdata", "dictionary"),
    "userdata that is no JSON": ({"userdata": {"a": object()}}, "userdata", "JSON"),
    "an option": ({"options": {"priorty": 5}}, "options", "Did you mean 'priority'"),
    "an option's value": ({"options": {"priority": 500}}, "options", "priority"),
    "a timeout": ({"options": {"timeout": -1}}, "options", "timeout"),
    "a queue": ({"options": {"queue_name": "nowhere"}}, "options", "nowhere"),
    "a backend": ({"options": {"backend": "nowhere"}}, "options", "nowhere"),
    "no label": ({"label": ""}, "label", "blank"),
    "a label that some databases cannot store": ({"label": "a\0"}, "label", "NUL"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_by_field_and_nothing_is_written(name: str) -> None:
    fields, field, reason = BAD[name]
    given = {"path": "tests.schedules.bell.noop", "cron": "@hourly", "label": "a", **fields}
    with pytest.raises(ValidationError) as caught:
        Schedule(**given).save()
    assert field in caught.value.message_dict
    assert reason in " ".join(caught.value.message_dict[field])
    assert not Schedule.objects.exists()


@pytest.mark.parametrize("name", BAD)
def test_it_is_refused_by_full_clean_too(name: str) -> None:
    fields, field, _ = BAD[name]
    given = {"path": "tests.schedules.bell.noop", "cron": "@hourly", "label": "a", **fields}
    with pytest.raises(ValidationError) as caught:
        Schedule(**given).full_clean()
    assert field in caught.value.message_dict


def test_what_is_used_up_is_not_enabled() -> None:
    schedule = scheduled(iterations=1)
    Schedule.objects.update(fired=1, enabled=False)
    schedule.refresh_from_db()
    schedule.enabled = True
    with pytest.raises(ValidationError, match="as often as it may"):
        schedule.full_clean()


def test_the_first_day_of_the_calendar_may_be_its_start() -> None:
    begin = datetime(1, 1, 1, tzinfo=UTC)
    assert scheduled(start_running=begin).next_run is not None


def test_a_label_twice_is_refused() -> None:
    scheduled()
    with pytest.raises(ValidationError, match="Label already exists"):
        scheduled()


def test_a_change_for_the_worse_is_refused() -> None:
    schedule = scheduled()
    schedule.cron = "* * *"
    with pytest.raises(ValidationError):
        schedule.save()
    assert Schedule.objects.get().cron == "0 * * * *"


def test_it_is_planned_when_it_is_saved() -> None:
    with clock() as now:
        now.move_to(NOON + timedelta(minutes=30))
        schedule = scheduled()
    assert schedule.next_run == NOON + HOUR
    assert schedule.last_run is None
    stored = Schedule.objects.get()
    assert (stored.next_run, stored.due_at) == (NOON + HOUR, NOON + HOUR)
    assert stored.created_at == stored.modified_at


def test_the_zone_is_the_projects_if_none_is_given() -> None:
    with clock() as now:
        now.move_to(NOON)
        schedule = Schedule(label="a", path=noop.module_path, cron="0 3 * * *")
        schedule.save()
    assert schedule.timezone == "Europe/Berlin"
    assert schedule.next_run == datetime(2026, 6, 2, 1, tzinfo=UTC)


def test_a_change_of_when_is_a_new_plan_and_another_change_is_none() -> None:
    with clock() as now:
        now.move_to(NOON)
        schedule = scheduled()
        now.move_to(NOON + timedelta(minutes=59))
        schedule.userdata = {"a": 1}
        schedule.save()
        assert schedule.next_run == NOON + HOUR
        schedule.cron = "30 * * * *"
        schedule.save()
    assert Schedule.objects.get().next_run == NOON + HOUR + timedelta(minutes=30)


def test_disabled_it_has_no_plan_and_enabled_it_begins_anew() -> None:
    with clock() as now:
        now.move_to(NOON)
        schedule = scheduled()
        schedule.enabled = False
        schedule.save()
        assert Schedule.objects.get().next_run is None
        now.advance(hours=5, minutes=1)
        schedule.enabled = True
        schedule.save()
        assert fire_all() == 0
    assert Schedule.objects.get().next_run == NOON + 6 * HOUR


def test_what_was_not_changed_is_not_written() -> None:
    schedule = scheduled()
    Schedule.objects.filter(pk=schedule.pk).update(userdata={"by": "a run"}, fired=5)
    schedule.label = "another"
    schedule.save()
    stored = Schedule.objects.get()
    assert (stored.label, stored.userdata, stored.fired) == ("another", {"by": "a run"}, 5)


@pytest.mark.parametrize("enabled", [True, False])
def test_a_change_of_when_does_not_undo_what_another_has_enabled_or_disabled(
    *, enabled: bool
) -> None:
    with clock() as now:
        now.move_to(NOON)
        mine = scheduled(enabled=not enabled)
        others = Schedule.objects.get()
        others.enabled = enabled
        others.save()
        mine.cron = "30 * * * *"
        mine.save()
        now.advance(minutes=30)
        fire_all()  # which plans what is enabled, and was not planned
        now.advance(hours=1)
        assert fire_all() == int(enabled)
    stored = Schedule.objects.get()
    assert (stored.cron, stored.enabled) == ("30 * * * *", enabled)


def test_a_broken_one_can_be_disabled() -> None:
    schedule = scheduled()
    Schedule.objects.filter(pk=schedule.pk).update(path="gone.away", cron="* *")
    schedule = Schedule.objects.get()
    schedule.enabled = False
    schedule.save()
    assert not Schedule.objects.get().enabled


def test_a_broken_one_cannot_be_enabled() -> None:
    schedule = scheduled(enabled=False)
    for columns, field in (({"path": "gone.away"}, "path"), ({"cron": "* *"}, "cron")):
        Schedule.objects.update(**columns)
        schedule = Schedule.objects.get()
        schedule.enabled = True
        with pytest.raises(ValidationError) as caught:
            schedule.save()
        assert field in caught.value.message_dict


def test_one_that_is_used_up_is_not_enabled_but_says_why() -> None:
    schedule = scheduled(iterations=1, wait_for_schedule=False)
    fire_all()
    schedule = Schedule.objects.get()
    assert not schedule.enabled
    schedule.enabled = True
    with pytest.raises(ValidationError, match="raise its iterations"):
        schedule.save()
    schedule.iterations = 2
    schedule.save()
    assert Schedule.objects.get().enabled


def test_only_the_fields_that_are_named_are_written() -> None:
    schedule = scheduled()
    schedule.label, schedule.enabled, schedule.userdata = "another", False, {"a": 1}
    schedule.save(update_fields=["label"])
    stored = Schedule.objects.get()
    assert (stored.label, stored.enabled, stored.userdata) == ("another", True, {})


def test_saving_what_has_not_changed_writes_little() -> None:
    schedule = scheduled()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        schedule.save()
    [update] = [q["sql"] for q in queries if q["sql"].startswith("UPDATE")]
    assert "next_run" not in update
    assert "modified_at" in update


def test_what_others_write_for_never() -> None:
    schedule = scheduled(start_running=HAS_NOT_RUN, end_running=FAR_FUTURE)
    assert (schedule.start_running, schedule.end_running) == (None, None)


def test_the_alias_of_overlap() -> None:
    assert scheduled(allow_overlap=False).overlap == "skip"
    schedule = Schedule.objects.get()
    assert schedule.allow_overlap is False
    schedule.allow_overlap = True
    assert schedule.overlap == "run"


@pytest.mark.parametrize(
    ("given", "expected"),
    [("skip", "skip"), ("one", "one"), (0, "skip"), (1, "one"), (7, 7), ("7", 7)],
)
def test_catch_up(given: Any, expected: Any) -> None:
    schedule = scheduled(catch_up=given)
    assert schedule.catch_up == expected
    assert Schedule.objects.get().catch_up == expected


def test_options_are_stored_and_are_of_the_task() -> None:
    options = {"priority": 5, "queue_name": "mail", "timeout": timedelta(minutes=1),
               "retry_on": [ValueError], "max_attempts": 3}  # fmt: skip
    scheduled(options=options)
    schedule = Schedule.objects.get()
    assert (schedule.task.priority, schedule.task.queue_name) == (5, "mail")
    assert (schedule.task.timeout, schedule.task.retry_on) == (60.0, (ValueError,))
    schedule.options = {**schedule.options, "max_attempts": 4}
    schedule.save()
    assert Schedule.objects.get().task.max_attempts == 4


def test_arguments() -> None:
    schedule = scheduled(ring, kwargs={"times": 3})
    assert Schedule.objects.get().kwargs == {"times": 3}
    schedule.args = (2,)
    schedule.kwargs = {}
    schedule.save()
    assert Schedule.objects.get().args == [2]


def test_the_next_ten() -> None:
    with clock() as now:
        now.move_to(NOON)
        schedule = scheduled(timezone="Europe/Berlin")
        times = schedule.upcoming(10)
    assert times == [NOON + n * HOUR for n in range(1, 11)]
    assert times[0].tzinfo == ZoneInfo("Europe/Berlin")


def test_fewer_if_it_ends_before() -> None:
    with clock() as now:
        now.move_to(NOON)
        schedule = scheduled(end_running=NOON + 3 * HOUR)
        assert len(schedule.upcoming(10)) == 2
        schedule.end_running, schedule.iterations = None, 4
        assert len(schedule.upcoming(10)) == 4


def test_the_next_ones_of_what_is_not_saved() -> None:
    schedule = Schedule(label="a", path=noop.module_path, cron="0 0 1 1 *", timezone="UTC")
    [first] = schedule.upcoming(1, after=NOON)
    assert first == datetime(2027, 1, 1, tzinfo=UTC)
    assert schedule.in_words()


def test_it_starts_not_before_its_start_which_may_be_a_planned_time() -> None:
    with clock() as now:
        now.move_to(NOON)
        schedule = scheduled(start_running=NOON + 5 * HOUR)
    assert schedule.next_run == NOON + 5 * HOUR


def test_an_interval_counts_from_the_start_or_from_its_making() -> None:
    with clock() as now:
        now.move_to(NOON)
        schedule = scheduled(interval=90)
        other = scheduled(interval=90, label="b", start_running=NOON + timedelta(seconds=10))
    assert schedule.next_run == schedule.created_at + timedelta(seconds=90)
    assert other.next_run == NOON + timedelta(seconds=100)


def test_without_waiting_for_the_schedule_it_is_due_at_once() -> None:
    schedule = scheduled(wait_for_schedule=False)
    assert schedule.next_run == schedule.created_at
    later = scheduled(wait_for_schedule=False, label="b", start_running=timezone.now() + HOUR)
    assert later.next_run == later.start_running


def test_columns_are_what_is_saved() -> None:
    schedule = Schedule(label="a", path=noop.module_path, interval=60)
    columns = schedule.columns()
    assert not Schedule.objects.exists()
    Schedule.objects.bulk_create([Schedule(**columns)])
    stored = Schedule.objects.get()
    assert stored.interval == timedelta(minutes=1)
    assert stored.next_run is not None
    with pytest.raises(ValidationError):
        Schedule(label="a", path="gone.away", interval=60).columns()


def test_what_was_written_past_save_is_planned_by_a_worker() -> None:
    Schedule.objects.bulk_create([Schedule(label="a", path=noop.module_path, cron="0 0 1 1 *")])
    assert Schedule.objects.get().next_run is None
    assert fire_all() == 1
    planned = Schedule.objects.get().next_run
    assert planned is not None
    assert planned > store().read_clock()
