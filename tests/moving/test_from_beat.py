"""``manage.py taskworks import-schedules``, with the tables of the real django-celery-beat."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections
from django.utils import timezone

from taskworks.models import Schedule, TaskRun
from tests.behavior import run_worker
from tests.celery import tasks as shim_tasks
from tests.moving import refusal, required, taskworks

required("django_celery_beat")

from django_celery_beat import models as beat  # noqa: E402

pytestmark = pytest.mark.django_db(transaction=True)

IMPORT = "import-schedules"
ADD = "tests.celery.tasks.add"
NEW_YEAR = datetime(2026, 12, 30, 20, tzinfo=UTC)
SPRING, AUTUMN = datetime(2027, 3, 27, 12, tzinfo=UTC), datetime(2027, 10, 30, 12, tzinfo=UTC)
MOMENTS = {"spring": SPRING, "autumn": AUTUMN, "new year": NEW_YEAR}

CRONTABS = {
    "every minute": ("* * * * *", "UTC"),
    "every quarter": ("*/15 * * * *", "UTC"),
    "in a list": ("3,17,41 * * * *", "Europe/Berlin"),
    "hourly": ("0 * * * *", "Asia/Kolkata"),
    "office hours": ("*/20 9-17 * * mon-fri", "America/New_York"),
    "every third hour": ("30 */3 * * *", "UTC"),
    "nightly": ("0 3 * * *", "UTC"),
    "at night, local": ("30 4 * * *", "Europe/Berlin"),
    "weekly": ("15 6 * * sunday", "Europe/Berlin"),
    "over the weekend": ("15 10 * * fri-mon", "Asia/Kolkata"),
    "around midnight": ("0 22-2 * * *", "America/Sao_Paulo"),
    "around midnight, every other": ("0 22-4/2 * * *", "UTC"),
    "monthly": ("0 0 1 * *", "UTC"),
    "on the 31st": ("0 12 31 * *", "UTC"),
    "on leap days": ("0 12 29 2 *", "UTC"),
    "every third month": ("0 12 1 */3 *", "Australia/Sydney"),
    "by names of months": ("0 12 10 jan,jul *", "UTC"),
    "odd days": ("0 12 */2 * *", "UTC"),
    "first Monday": ("0 9 1-7 * mon", "America/New_York"),
    "every value": ("0-59 * 1-31 1-12 0-6", "UTC"),
    "every other minute at night": ("*/2 1-4 * * *", "Europe/London"),
    "twice a day": ("5 6,18 * * *", "America/Los_Angeles"),
    "on working days": ("45 8 * * 1-5", "Europe/Paris"),
    "every fifth hour": ("0 */5 * * *", "Pacific/Auckland"),
    "a range with steps": ("10-50/20 * * * *", "Asia/Kathmandu"),
    "last month of a quarter": ("30 23 28 3,6,9,12 *", "Europe/Berlin"),
    "in summer": ("0 12 * jun-aug *", "UTC"),
    "second Tuesday": ("0 9 8-14 * tue", "Europe/Berlin"),
    "before midnight": ("59 23 * * *", "America/Sao_Paulo"),
    "every minute of an hour": ("* 12 * * sat", "Australia/Lord_Howe"),
}
INTERVALS = {
    f"every {every} {period}": (every, period)
    for period, numbers in {
        "seconds": (1, 2, 7, 45, 90, 3600),
        "minutes": (1, 5, 7, 15, 59, 90),
        "hours": (1, 5, 12, 23, 25, 36),
        "days": (1, 2, 3, 7, 14, 30),
        "microseconds": (1_000_000, 1_500_000, 2_000_000, 61_250_000, 90_000_000, 3_600_000_000),
    }.items()
    for every in numbers
}


def crontab(fields: str = "0 3 * * *", timezone: str = "UTC") -> Any:
    minute, hour, day_of_month, month, day_of_week = fields.split()
    return beat.CrontabSchedule.objects.create(
        minute=minute,
        hour=hour,
        day_of_month=day_of_month,
        month_of_year=month,
        day_of_week=day_of_week,
        timezone=timezone,
    )


def interval(every: int = 10, period: str = "minutes") -> Any:
    return beat.IntervalSchedule.objects.create(every=every, period=period)


def clocked(moment: datetime) -> Any:
    return beat.ClockedSchedule.objects.create(clocked_time=moment)


def row(name: str, task: str = ADD, args: Any = (1,), **columns: Any) -> Any:
    """A row of beat's, as its admin makes it; without a schedule it gets a crontab."""
    if not {"crontab", "interval", "clocked", "solar"} & {*columns}:
        columns["crontab"] = crontab()
    made = beat.PeriodicTask(name=name, task=task, args=json.dumps(args), **columns)
    made.save()
    return made


def imported(*arguments: str) -> dict[str, tuple[str, str]]:
    """What became of each schedule, and why."""
    output = StringIO()
    try:
        call_command("taskworks", IMPORT, "--json", *arguments, stdout=output)
    except CommandError:
        assert '"left"' in output.getvalue()
    return {
        one["label"]: (one["result"], one["reason"])
        for one in json.loads(output.getvalue())["schedules"]
    }


def times_of_beat(made: Any, after: datetime, n: int = 20) -> list[datetime]:
    """The next times, as the schedule object of beat's own row says them."""
    schedule, moments = made.schedule, [after]
    zone = getattr(schedule, "tz", UTC)
    while len(moments) <= n:
        last = moments[-1].astimezone(zone)
        schedule.nowfun = lambda last=last: last
        moments.append(moments[-1] + schedule.remaining_estimate(last))
    return moments[1:]


# When it fires.


@pytest.mark.thorough_on_servers
@pytest.mark.parametrize("moment", [*MOMENTS])
@pytest.mark.parametrize("name", [*CRONTABS])
def test_crontabs_fire_when_beat_says(name: str, moment: str) -> None:
    after = MOMENTS[moment]
    made = row(name, crontab=crontab(*CRONTABS[name]))
    assert imported()[name] == ("added", "")
    ours = Schedule.objects.get(label=name).upcoming(20, after)
    theirs = times_of_beat(made, after)
    zone = CRONTABS[name][1]
    if crosses_a_change(theirs, zone) or crosses_a_change(ours, zone):
        theirs, ours = without_the_repeated_hour(theirs, ours, zone)
    assert [one.astimezone(UTC) for one in ours] == theirs


def crosses_a_change(moments: list[datetime], zone: str) -> bool:
    offsets = [moment.astimezone(ZoneInfo(zone)).utcoffset() for moment in moments]
    return any(before != after for before, after in pairwise(offsets))


def without_the_repeated_hour(
    theirs: list[datetime], ours: list[datetime], zone: str
) -> tuple[list[datetime], list[datetime]]:
    """Leave out the second time of an hour that clocks repeat, in which beat does not fire."""
    kept = [one for one in ours if not one.astimezone(ZoneInfo(zone)).fold]
    return theirs[: len(kept)], [one.astimezone(UTC) for one in kept]


def test_intervals_fire_when_beat_says() -> None:
    made = {name: row(name, interval=interval(*every)) for name, every in INTERVALS.items()}
    last = timezone.now().replace(microsecond=0) - timedelta(seconds=5)
    beat.PeriodicTask.objects.update(last_run_at=last)
    assert imported() == dict.fromkeys(made, ("added", ""))
    for name, one in made.items():
        one.refresh_from_db()
        schedule = Schedule.objects.get(label=name)
        every = one.schedule.run_every
        first = schedule.next_run
        assert first is not None
        assert (first - last) % every == timedelta(), name
        assert schedule.upcoming(20, first) == times_of_beat(one, first), name


def test_moments_are_those_of_beat() -> None:
    start = timezone.now().replace(microsecond=0)
    moments = {f"in {n} days": start + timedelta(days=n * 13, minutes=n * 37) for n in range(1, 31)}
    for name, moment in moments.items():
        row(name, clocked=clocked(moment), one_off=True)
    assert imported() == dict.fromkeys(moments, ("added", ""))
    for schedule in Schedule.objects.all():
        assert schedule.upcoming(20) == [moments[schedule.label]]


def test_the_hour_that_is_skipped_and_the_hour_that_is_repeated_differ() -> None:
    skipped = row("skipped", crontab=crontab("30 2 * * *", "Europe/Berlin"))
    repeated = row("repeated", crontab=crontab("*/20 * * * *", "Europe/Berlin"))
    imported()
    after = datetime(2027, 3, 27, 12, tzinfo=UTC)
    [ours] = Schedule.objects.get(label="skipped").upcoming(1, after)
    [theirs] = times_of_beat(skipped, after, 1)
    assert (ours.astimezone(UTC).hour, ours.minute, theirs.hour, theirs.minute) == (1, 0, 1, 30)
    after = datetime(2027, 10, 31, 0, 50, tzinfo=UTC)
    ours_then = Schedule.objects.get(label="repeated").upcoming(3, after)
    assert [one.astimezone(UTC).hour for one in ours_then] == [1, 1, 1]
    assert [one.hour for one in times_of_beat(repeated, after, 3)] == [2, 2, 2]


def test_an_interval_begins_at_its_start() -> None:
    start = timezone.now().replace(microsecond=0) + timedelta(days=3)
    row("later", interval=interval(10, "minutes"), start_time=start)
    imported()
    schedule = Schedule.objects.get()
    assert (schedule.next_run, schedule.upcoming(2)) == (
        start,
        [start, start + timedelta(minutes=10)],
    )


def test_a_moment_is_fired_once() -> None:
    moment = timezone.now().replace(microsecond=0) + timedelta(days=3)
    row("once", clocked=clocked(moment), one_off=True)
    assert imported() == {"once": ("added", "")}
    schedule = Schedule.objects.get()
    assert (schedule.next_run, schedule.iterations, schedule.upcoming(3)) == (moment, 1, [moment])


# What it keeps.


def test_it_keeps_what_it_has() -> None:
    end = timezone.now().replace(microsecond=0) + timedelta(days=300)
    row(
        "nightly",
        task="mail.send",
        args=[],
        kwargs='{"address": "ada@example.com"}',
        queue="mail",
        priority=9,
        expires=end,
        description="Every night",
        enabled=False,
    )
    row("short", expire_seconds=60, one_off=True)
    assert imported() == {"nightly": ("added", ""), "short": ("added", "")}
    nightly, short = Schedule.objects.order_by("label")
    assert (nightly.path, nightly.kwargs) == (
        "tests.celery.tasks.send",
        {"address": "ada@example.com"},
    )
    assert nightly.options == {"queue_name": "mail", "priority": 100}
    assert (nightly.end_running, nightly.enabled, nightly.cron) == (end, False, "0 3 * * *")
    assert nightly.userdata["celery_beat"]["description"] == "Every night"
    assert (short.options, short.iterations, short.enabled) == ({"expires": 60.0}, 1, True)


def test_it_fires() -> None:
    row("now", args=[2], kwargs='{"b": 3}')
    imported()
    taskworks("schedules", "--run-now", "now")
    run_worker()
    assert TaskRun.objects.get().return_value == 5


def test_a_task_with_self_is_called_without_it() -> None:
    row("bound", task="tests.celery.tasks.about", args=[1], kwargs='{"b": 2}')
    row("not fitting", task="tests.celery.tasks.about", args=[1, 2])
    fates = imported()
    assert fates["bound"] == ("added", "")
    assert "too many positional arguments" in fates["not fitting"][1]


def test_arguments_of_kombu_arrive_typed() -> None:
    marked = {"__type__": "decimal", "__value__": "1.50"}
    row("typed", task="tests.celery.tasks.typed", args=[marked])
    imported()
    taskworks("schedules", "--run-now", "typed")
    shim_tasks.calls.clear()
    run_worker()
    assert str(shim_tasks.calls) == "[((Decimal('1.50'),), {})]"


# What it is not.


def test_what_is_left_says_why() -> None:
    past = timezone.now() - timedelta(days=1)
    row("sunset", solar=beat.SolarSchedule.objects.create(event="sunset", latitude=1, longitude=2))
    row("both", crontab=crontab("0 9 13 * fri"))
    row("past", clocked=clocked(past), one_off=True)
    row("gone", task="nowhere_at_all.tasks.gone")
    row("no task", task="tests.celery.tasks.logger")
    row("microseconds", interval=interval(500, "microseconds"))
    row("arguments", args=[])
    row("queue", queue="nowhere")
    row("no JSON")
    beat.PeriodicTask.objects.filter(name="no JSON").update(args="[1")
    row("no list")
    beat.PeriodicTask.objects.filter(name="no list").update(args="{}")
    row("no schedule")
    beat.PeriodicTask.objects.filter(name="no schedule").update(crontab=None)
    Schedule(label="taken", path=ADD, args=[1], cron="0 1 * * *").save()
    row("taken")
    fates = imported()
    assert {result for result, _ in fates.values()} == {"left"}
    for name, sentence in {
        "sunset": "A solar schedule (sunset at 1.000000, 2.000000) has no counterpart here",
        "both": "match both day_of_month='13' and day_of_week='fri'",
        "past": "is over, and it has not run",
        "gone": "'nowhere_at_all.tasks.gone' leads to nothing: there is no module 'nowhere_at_all'",
        "no task": "is not a task of Taskworks: it is of the type Logger",
        "microseconds": "Its interval is 0.0005 s, and the shortest is a second",
        "arguments": "does not take these arguments: missing a required argument: 'a'",
        "queue": "nowhere",
        "no JSON": "Its args are not JSON",
        "no list": "Its args must be a list, not {}",
        "no schedule": "It has no schedule",
        "taken": "was not imported, so it is left as it is",
    }.items():
        assert sentence in fates[name][1], name
    assert Schedule.objects.count() == 1
    assert refusal_code() == 1


def refusal_code() -> int:
    with pytest.raises(CommandError) as error:
        call_command("taskworks", IMPORT, stdout=StringIO())
    return error.value.returncode


def test_what_has_nothing_left_to_do_is_skipped() -> None:
    past = timezone.now() - timedelta(days=1)
    row("cleanup", task="celery.backend_cleanup", args=[])
    row("has run", one_off=True)
    beat.PeriodicTask.objects.filter(name="has run").update(total_run_count=1)
    row("disabled", clocked=clocked(past), one_off=True, enabled=False)
    row("ended", expires=past)
    assert {result for result, _ in imported().values()} == {"skipped"}
    assert "RETENTION deletes results here" in taskworks(IMPORT)


def test_what_is_lost_is_said() -> None:
    row("routed", exchange="x", routing_key="y", headers='{"a": 1}')
    assert (
        "routed: exchange, routing_key, headers is not kept, because there is no broker."
        in taskworks(IMPORT)
    )


def test_a_task_may_have_another_path() -> None:
    row("moved", task="old.tasks.add")
    assert "give --map old.tasks.add=NEW.PATH" in imported()["moved"][1]
    assert imported("--map", f"old.tasks.add={ADD}") == {"moved": ("added", "")}
    assert Schedule.objects.get().path == ADD
    assert "must be OLD=NEW, not 'x'" in refusal(IMPORT, "--map", "x")[1]


# Again.


def test_again_changes_nothing() -> None:
    for name, fields in CRONTABS.items():
        row(name, crontab=crontab(*fields))
    for name, every in INTERVALS.items():
        row(name, interval=interval(*every))
    assert {result for result, _ in imported().values()} == {"added"}
    before = [*Schedule.objects.values()]
    assert {result for result, _ in imported().values()} == {"unchanged"}
    assert [*Schedule.objects.values()] == before


def test_again_follows_beat_but_not_where_a_person_has_changed_it() -> None:
    made = row("nightly")
    imported()
    schedule = Schedule.objects.get()
    schedule.cron = "0 5 * * *"
    schedule.save()
    made.crontab, made.args = crontab("0 4 * * *"), "[7]"
    made.save()
    assert imported() == {"nightly": ("updated", "")}
    schedule.refresh_from_db()
    assert (schedule.cron, schedule.args) == ("0 5 * * *", [7])
    assert imported() == {"nightly": ("unchanged", "")}


def test_a_dry_run_changes_nothing() -> None:
    row("nightly")
    assert taskworks(IMPORT, "--dry-run", "--disable-old").splitlines() == [
        "SCHEDULE  TASK                    WOULD BE",
        "nightly   tests.celery.tasks.add  added",
        "Would disable 1 in the tables of django-celery-beat.",
    ]
    assert not Schedule.objects.exists()
    assert beat.PeriodicTask.objects.get().enabled


def test_beat_s_own_are_disabled() -> None:
    row("nightly")
    row("gone", task="nowhere_at_all.tasks.gone")
    before = beat.PeriodicTasks.last_change()
    assert "Disabled 1 in the tables of django-celery-beat." in taskworks(IMPORT, "--disable-old")
    assert {one.name: one.enabled for one in beat.PeriodicTask.objects.all()} == {
        "nightly": False,
        "gone": True,
    }
    assert beat.PeriodicTasks.last_change() > before
    assert Schedule.objects.get().enabled
    assert imported()["nightly"] == ("unchanged", "")
    assert Schedule.objects.get().enabled


class ToTheQueue:
    """A router that has our tables on another alias than beat's."""

    def db_for_write(self, model: type, **hints: Any) -> str | None:
        return "queue" if model._meta.app_label == "taskworks" else None  # type: ignore[attr-defined]

    db_for_read = db_for_write


@pytest.mark.django_db(transaction=True, databases=["default", "queue"])
def test_beat_s_own_are_on_another_alias(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DATABASE_ROUTERS = [ToTheQueue()]
    row("nightly")
    assert "Would disable 1" in taskworks(IMPORT, "--dry-run", "--disable-old")
    assert beat.PeriodicTask.objects.get().enabled
    assert not Schedule.objects.using("queue").exists()

    def not_stored(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("The disk is full.")

    # When they were to be stored, at the end of their transaction, beat was not disabled yet.
    with monkeypatch.context() as patched:
        patched.setattr(type(connections["queue"]), "_commit", not_stored)
        with pytest.raises(OperationalError):
            taskworks(IMPORT, "--disable-old")
    assert beat.PeriodicTask.objects.get().enabled
    assert "Disabled 1" in taskworks(IMPORT, "--disable-old")
    assert not beat.PeriodicTask.objects.get().enabled
    assert Schedule.objects.using("queue").get().enabled


def test_a_schedule_that_a_person_has_deleted_comes_back_only_while_beat_has_it() -> None:
    made = row("nightly")
    imported("--disable-old")
    made.delete()
    Schedule.objects.all().delete()
    assert imported() == {}


def test_without_tables_and_settings() -> None:
    assert taskworks(IMPORT) == "Beat has no schedules, in its tables or in the settings.\n"


def test_a_check_sees_that_both_fire() -> None:
    from taskworks.moving.beat.checks import check_both

    row("nightly")
    imported()
    [warning] = check_both(databases=["default"])
    assert (warning.id, "'nightly'" in warning.msg) == ("taskworks.W055", True)
    beat.PeriodicTask.objects.update(last_run_at=timezone.now() + timedelta(seconds=5))
    assert "Beat is running: it fired" in check_both(databases=["default"])[0].msg
    taskworks(IMPORT, "--disable-old")
    assert check_both(databases=["default"]) == []
    assert check_both(databases=[]) == []


# The settings.


def test_schedules_of_the_settings(settings: Any) -> None:
    schedules = pytest.importorskip("celery.schedules")
    settings.CELERY_TIMEZONE = "Europe/Berlin"
    solar = object.__new__(schedules.solar)  # which wants another package to be made
    vars(solar).update(event="sunset", lat=1, lon=2)
    settings.CELERY_BEAT_SCHEDULE = {
        "seconds": {"task": ADD, "schedule": 30.0, "args": (1,)},
        "timedelta": {"task": ADD, "schedule": timedelta(minutes=5), "args": [1]},
        "crontab": {
            "task": ADD,
            "schedule": schedules.crontab(minute=[0, 30], hour="8-18", day_of_week="mon"),
            "kwargs": {"a": 1},
            "options": {"queue": "imports", "expires": 60, "priority": 3, "link": "x"},
        },
        "schedule": {"task": ADD, "schedule": schedules.schedule(45), "args": (1,)},
        "solar": {"task": ADD, "schedule": solar, "args": (1,)},
        "nonsense": {"task": ADD, "schedule": "daily"},
        "more nonsense": 5,
    }
    fates = imported()
    assert {name: result for name, (result, _) in fates.items()} == {
        "seconds": "added",
        "timedelta": "added",
        "crontab": "added",
        "schedule": "added",
        "solar": "left",
        "nonsense": "left",
        "more nonsense": "left",
    }
    made = Schedule.objects.get(label="crontab")
    assert (made.cron, made.timezone) == ("0,30 8-18 * * 1", "Europe/Berlin")
    assert made.options == {"queue_name": "imports", "priority": 33, "expires": 60.0}
    assert Schedule.objects.get(label="schedule").interval == timedelta(seconds=45)
    output = taskworks(IMPORT, "--from", "settings")
    assert "crontab: link of its options is not kept." in output
    assert "seconds: its interval is counted from now." in output
    assert imported()["seconds"] == ("unchanged", "")


def test_schedules_of_an_app(settings: Any) -> None:
    pytest.importorskip("celery")
    assert imported("--app", "tests.moving.a_celery_app:app") == {"hourly": ("added", "")}
    assert Schedule.objects.get().timezone == "Asia/Kolkata"
    code, sentence = refusal(IMPORT, "--app", "tests.moving.nothing:app")
    assert (code, "Write it like project.celery:app" in sentence) == (2, True)


def test_what_is_in_both_is_read_from_the_tables(settings: Any) -> None:
    settings.CELERY_BEAT_SCHEDULE = {"nightly": {"task": ADD, "schedule": 30, "args": (1,)}}
    row("nightly")
    imported()
    assert Schedule.objects.get().cron == "0 3 * * *"
