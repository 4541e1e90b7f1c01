"""When an expression is due, and what is none. All times are given, no clock is asked."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest

from taskworks.timetables.cron import Cron
from taskworks.timetables.interval import Interval
from taskworks.timetables.timetable import InvalidTimetable
from tests.timetables.minute_by_minute import next_run, upcoming

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"

# The zone, the expression, a moment, and the planned times after it, all of them in UTC.
CHANGES = {
    "a skipped time runs at the end of the gap": (
        BERLIN, "30 2 * * *", "2026-03-28 12:00",
        ["2026-03-29 01:00", "2026-03-30 00:30"],
    ),
    "a repeated time runs the first time": (
        BERLIN, "30 2 * * *", "2026-10-24 12:00",
        ["2026-10-25 00:30", "2026-10-26 01:30"],
    ),
    "asked between the two, it comes the next day": (
        BERLIN, "30 2 * * *", "2026-10-25 01:10",
        ["2026-10-26 01:30"],
    ),
    "several that are skipped run once": (
        BERLIN, "*/15 2 * * *", "2026-03-28 12:00",
        ["2026-03-29 01:00", "2026-03-30 00:00", "2026-03-30 00:15"],
    ),
    "several that are repeated run once each": (
        BERLIN, "*/15 2 * * *", "2026-10-24 12:00",
        ["2026-10-25 00:00", "2026-10-25 00:15", "2026-10-25 00:30", "2026-10-25 00:45",
         "2026-10-26 01:00"],
    ),
    "one that is skipped to the next runs with it": (
        BERLIN, "0 2,3 * * *", "2026-03-28 12:00",
        ["2026-03-29 01:00", "2026-03-30 00:00", "2026-03-30 01:00"],
    ),
    "every other hour, the skipped one at the end of the gap": (
        BERLIN, "0 */2 * * *", "2026-03-28 22:30",
        ["2026-03-28 23:00", "2026-03-29 01:00", "2026-03-29 02:00"],
    ),
    "with a second": (
        BERLIN, "30 2 * * * 15", "2026-03-28 12:00",
        ["2026-03-29 01:00", "2026-03-30 00:30:15"],
    ),
    "with a second, repeated": (
        BERLIN, "30 2 * * * 15", "2026-10-24 12:00",
        ["2026-10-25 00:30:15", "2026-10-26 01:30:15"],
    ),
    "every hour, without the one that there is not": (
        BERLIN, "0 * * * *", "2026-03-28 23:30",
        ["2026-03-29 00:00", "2026-03-29 01:00", "2026-03-29 02:00"],
    ),
    "every hour at half past": (
        BERLIN, "30 * * * *", "2026-03-28 23:45",
        ["2026-03-29 00:30", "2026-03-29 01:30", "2026-03-29 02:30"],
    ),
    "every hour, and the one that there is twice": (
        BERLIN, "0 * * * *", "2026-10-24 23:30",
        ["2026-10-25 00:00", "2026-10-25 01:00", "2026-10-25 02:00", "2026-10-25 03:00"],
    ),
    "every half minute, and the hour that there is twice": (
        BERLIN, "* * * * * */30", "2026-10-25 00:59:15",
        ["2026-10-25 00:59:30", "2026-10-25 01:00", "2026-10-25 01:00:30"],
    ),
    "New York, skipped": (
        NEW_YORK, "30 2 * * *", "2026-03-07 12:00",
        ["2026-03-08 07:00", "2026-03-09 06:30"],
    ),
    "New York, repeated": (
        NEW_YORK, "30 1 * * *", "2026-10-31 12:00",
        ["2026-11-01 05:30", "2026-11-02 06:30"],
    ),
    "New York, every hour": (
        NEW_YORK, "0 * * * *", "2026-11-01 04:30",
        ["2026-11-01 05:00", "2026-11-01 06:00", "2026-11-01 07:00"],
    ),
    "Lord Howe skips half an hour": (
        LORD_HOWE, "15 2 * * *", "2026-10-03 00:00",
        ["2026-10-03 15:30", "2026-10-04 15:15"],
    ),
    "Lord Howe repeats half an hour": (
        LORD_HOWE, "45 1 * * *", "2026-04-04 00:00",
        ["2026-04-04 14:45", "2026-04-05 15:15"],
    ),
    "every hour in Lord Howe, where the full hour is skipped": (
        LORD_HOWE, "0 * * * *", "2026-10-03 14:00",
        ["2026-10-03 14:30", "2026-10-03 15:30", "2026-10-03 16:00", "2026-10-03 17:00"],
    ),
    "every hour in Lord Howe, where a quarter to is repeated": (
        LORD_HOWE, "45 * * * *", "2026-04-04 14:00",
        ["2026-04-04 14:45", "2026-04-04 15:15", "2026-04-04 16:15"],
    ),
    "every hour in Lord Howe, where the full hour is not": (
        LORD_HOWE, "0 * * * *", "2026-04-04 13:30",
        ["2026-04-04 14:00", "2026-04-04 15:30", "2026-04-04 16:30"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_the_offset(name: str) -> None:
    zone, expression, moment, expected = CHANGES[name]
    found = upcoming(Cron(expression, zone), len(expected), at(moment))
    assert found == [at(planned) for planned in expected]


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, LORD_HOWE])
def test_an_interval_runs_in_every_real_hour(zone: str) -> None:
    start = at("2026-01-01 00:00")
    times = upcoming(Interval(timedelta(hours=1), start), 24 * 365, start)
    assert times == [start + timedelta(hours=hour) for hour in range(1, 24 * 365 + 1)]


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, LORD_HOWE])
@pytest.mark.parametrize("expression", ["0 * * * *", "20 * * * *", "59 0-23 * * *"])
def test_no_real_hour_of_a_year_is_left_out(zone: str, expression: str) -> None:
    times = upcoming(Cron(expression, zone), 24 * 365, at("2026-01-01 00:00"))
    longest = max(later - earlier for earlier, later in pairwise(times))
    # The clock of Lord Howe takes an hour and a half from one to two when it is put back.
    assert longest <= timedelta(hours=1.5 if zone == LORD_HOWE else 1)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 3 l * *", ["2026-02-28 03:00", "2026-03-31 03:00"]),
        ("0 3 L * *", ["2026-02-28 03:00", "2026-03-31 03:00"]),
        ("0 0 29 2 *", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        ("0 9 * * mon-fri", ["2026-02-16 09:00", "2026-02-17 09:00"]),
        ("0 9 * * fri-sun", ["2026-02-14 09:00", "2026-02-15 09:00"]),
        ("0 9 * * 7", ["2026-02-15 09:00", "2026-02-22 09:00"]),
        ("0 9 * * 0", ["2026-02-15 09:00", "2026-02-22 09:00"]),
        ("0 9 1 Jan,jul *", ["2026-07-01 09:00", "2027-01-01 09:00"]),
        ("0 9 * * sat#1", ["2026-03-07 09:00", "2026-04-04 09:00"]),
        ("0,15 9-10 14 2 *", ["2026-02-14 09:00", "2026-02-14 09:15"]),
        ("*/60 */24 */31 */12 *", ["2027-01-01 00:00", "2028-01-01 00:00"]),
        ("0 8 * * */7", ["2026-02-15 08:00", "2026-02-22 08:00"]),
        ("* * * * * */30", ["2026-02-14 08:00:30", "2026-02-14 08:01"]),
        ("0 0 13 * fri", ["2026-02-20 00:00", "2026-02-27 00:00"]),  # one or the other
        ("@hourly", ["2026-02-14 09:00", "2026-02-14 10:00"]),
        ("@daily", ["2026-02-15 00:00", "2026-02-16 00:00"]),
        ("@midnight", ["2026-02-15 00:00", "2026-02-16 00:00"]),
        ("@weekly", ["2026-02-15 00:00", "2026-02-22 00:00"]),
        ("@monthly", ["2026-03-01 00:00", "2026-04-01 00:00"]),
        ("@yearly", ["2027-01-01 00:00", "2028-01-01 00:00"]),
        ("@Annually", ["2027-01-01 00:00", "2028-01-01 00:00"]),
    ],
)
def test_what_is_written(expression: str, expected: list[str]) -> None:
    times = Cron(expression).after(at("2026-02-14 08:00"))
    assert list(islice(times, 2)) == [at(planned) for planned in expected]


@pytest.mark.parametrize(
    ("expression", "parts"),
    [
        ("* * *", ["3 fields", "5", "6 with the second last"]),
        ("* * * * * * *", ["7 fields"]),
        ("", ["0 fields"]),
        ("61 * * * *", ["'61'", "minute", "0 to 59"]),
        ("* 24 * * *", ["'24'", "hour", "0 to 23"]),
        ("* * 0 * *", ["'0'", "day-of-month"]),
        ("* * * 13 *", ["'13'", "month"]),
        ("* * * * 8", ["'8'", "day-of-week"]),
        ("* * * * mond", ["'MOND'", "day-of-week"]),
        ("* * * * * 60", ["'60'", "second"]),
        ("*/0 * * * *", ["'*/0'", "minute"]),
        ("*/90 * * * *", ["step 90 of '*/90'", "minute's 60 values", "@every(minutes=90)"]),
        ("5,10-20/61 * * * *", ["step 61", "minute", "@every"]),
        ("0 */36 * * *", ["step 36", "hour's 24 values", "@every"]),
        ("0 0 1/32 * *", ["step 32", "day-of-month's 31 values", "@every"]),
        ("0 0 1 */18 *", ["step 18", "month's 12 values", "@every"]),
        ("0 0 * * */14", ["step 14", "day-of-week's 7 values", "@every"]),
        ("* * * * * */90", ["step 90", "second's 60 values", "@every"]),
        ("5-1 * * * *", ["'5-1'", "minute"]),
        ("1, * * * *", ["'1,'", "minute"]),
        ("0 0 30 2 *", ["never comes", "'30'"]),
        ("0 0 31 4,6,9,11 *", ["never comes", "'31'"]),
        ("@reboot", ["@reboot"]),
        ("@houly", ["Did you mean '@hourly'"]),
    ],
)
def test_what_is_refused(expression: str, parts: list[str]) -> None:
    with pytest.raises(InvalidTimetable) as caught:
        Cron(expression)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("given", [None, 5, ["* * * * *"]])
def test_an_expression_is_a_string(given: object) -> None:
    with pytest.raises(InvalidTimetable, match="must be a string"):
        Cron(given)  # type: ignore[arg-type]


@pytest.mark.parametrize("zone", ["Europe/Berln", "", "../etc/passwd", "CEST5"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(InvalidTimetable, match="not a time zone"):
        Cron("* * * * *", zone)


def test_the_zone_that_was_probably_meant_is_named() -> None:
    with pytest.raises(InvalidTimetable, match="Did you mean 'Europe/Berlin'"):
        Cron("* * * * *", "Europe/Berln")


@pytest.mark.parametrize("every", [timedelta(), timedelta(milliseconds=10), timedelta(-1), 5])
def test_an_interval_is_a_second_at_least(every: object) -> None:
    with pytest.raises(InvalidTimetable):
        Interval(every, at("2026-01-01 00:00"))  # type: ignore[arg-type]


def test_the_end_of_the_calendar_is_the_end() -> None:
    last = datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    assert next_run(Cron("0 0 * * *", BERLIN), last) is None
    assert next_run(Interval(timedelta(days=1), last), last) is None


@pytest.mark.parametrize(
    ("timetable", "words"),
    [
        (Cron("*/5 * * * *"), "Every fifth minute of every hour"),
        (Cron("30 2 * * *"), "At 02:30 every day"),
        (Cron("@hourly"), "At the start of every hour"),
        (Interval(timedelta(seconds=90), datetime.now(UTC)), "Every 1 minute, 30 seconds"),
        (Interval(timedelta(hours=1), datetime.now(UTC)), "Every hour"),
    ],
)
def test_in_words(timetable: Cron | Interval, words: str) -> None:
    assert timetable.in_words() == words


def at(moment: str) -> datetime:
    return datetime.fromisoformat(moment).replace(tzinfo=UTC)
