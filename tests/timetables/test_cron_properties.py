"""Of any expression, in any zone: what is planned is what a look at every minute would find."""

import itertools
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskworks.timetables.cron import Cron
from taskworks.timetables.interval import Interval
from tests.effort import examples
from tests.timetables.minute_by_minute import next_run, upcoming

# In CI neither the speed of the machine decides, nor luck: others try other examples each time.
HOWEVER_SLOW: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow],
    "derandomize": os.environ.get("CI") == "true",
}
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
# In the night of, or near, a change of the offset of one of these; and one without.
NIGHTS = ("2026-03-28", "2026-10-24", "2026-03-07", "2026-10-31", "2026-10-03", "2026-04-04",
          "2026-07-01")  # fmt: skip


@dataclass(frozen=True)
class Fields:
    """An expression whose meaning is known without parsing it."""

    minutes: frozenset[int]
    hours: frozenset[int]
    weekdays: frozenset[int] | None  # by cron's numbers; None for any

    @property
    def expression(self) -> str:
        weekdays = "*" if self.weekdays is None else _list(self.weekdays)
        return f"{_list(self.minutes)} {_list(self.hours)} * * {weekdays}"

    def match(self, local: datetime) -> bool:
        return (
            local.minute in self.minutes
            and local.hour in self.hours
            and (self.weekdays is None or local.isoweekday() % 7 in self.weekdays)
        )

    @property
    def is_every_hour(self) -> bool:
        return len(self.hours) == 24


def _list(values: frozenset[int]) -> str:
    return ",".join(map(str, sorted(values)))


hours = st.one_of(
    st.just(frozenset(range(24))),
    st.frozensets(st.integers(0, 23), min_size=1, max_size=4),
    st.frozensets(st.integers(0, 4), min_size=1, max_size=4),  # when clocks are put
)
fields = st.builds(
    Fields,
    minutes=st.frozensets(st.integers(0, 59), min_size=1, max_size=4),
    hours=hours,
    weekdays=st.one_of(st.none(), st.frozensets(st.integers(0, 6), min_size=1, max_size=6)),
)
expressions = st.builds(
    lambda fields, seconds: f"{fields.expression} {seconds}",
    fields,
    st.one_of(
        st.sampled_from(["0", "*"]), st.frozensets(st.integers(0, 59), min_size=1).map(_list)
    ),
)
moments = st.builds(
    lambda night, seconds: (
        datetime.fromisoformat(night).replace(tzinfo=UTC) + timedelta(seconds=seconds)
    ),
    st.sampled_from(NIGHTS),
    st.integers(0, 2 * 86_400),
)


@settings(max_examples=examples(300), **HOWEVER_SLOW)
@given(fields=fields, zone=st.sampled_from(ZONES), moment=moments)
def test_all_that_a_look_at_every_minute_finds_and_nothing_else(
    fields: Fields, zone: str, moment: datetime
) -> None:
    expected = _looked_up(fields, ZoneInfo(zone), moment, moment + DAY)
    timetable = Cron(fields.expression, zone)
    found = upcoming(timetable, len(expected) + 1, moment)
    assert found[: len(expected)] == expected
    assert found[len(expected)] > moment + DAY


@settings(max_examples=examples(200), **HOWEVER_SLOW)
@given(
    fields=fields,
    zone=st.sampled_from(ZONES),
    moment=st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),
)
def test_the_next_run_is_in_the_future_and_the_same_wherever_one_begins(
    fields: Fields, zone: str, moment: datetime
) -> None:
    timetable = Cron(fields.expression, zone)
    first, second = upcoming(timetable, 2, moment)
    assert moment < first < second
    assert next_run(timetable, first) == second
    assert next_run(timetable, first - timedelta(microseconds=1)) == first
    between = moment + (first - moment) / 2
    assert next_run(timetable, between) == (first if between < first else second)


def _looked_up(fields: Fields, zone: ZoneInfo, after: datetime, until: datetime) -> list[datetime]:
    """By the rules, minute by minute."""
    begin = (after - DAY).replace(second=0, microsecond=0)
    minutes = [begin + n * MINUTE for n in range(int((until + DAY - begin) / MINUTE))]
    local = {minute: minute.astimezone(zone).replace(tzinfo=None) for minute in minutes}
    planned = set()
    seen: set[datetime] = set()
    for before, minute in itertools.pairwise(minutes):
        if fields.match(local[minute]) and (fields.is_every_hour or local[minute] not in seen):
            planned.add(minute)
        seen.add(local[minute])
        skipped = int((local[minute] - local[before]) / MINUTE) - 1
        leaves_an_hour_out = skipped % 60 != 0 if fields.is_every_hour else True
        if leaves_an_hour_out and any(
            fields.match(local[before] + n * MINUTE) for n in range(1, skipped + 1)
        ):
            planned.add(minute)
    return sorted(minute for minute in planned if after < minute <= until)


# The nth latest, which is counted by minutes.


@settings(max_examples=examples(200), deadline=None)
@given(
    expression=expressions,
    zone=st.sampled_from(ZONES),
    since=moments,
    length=st.timedeltas(timedelta(), DAY / 2),
    n=st.one_of(st.integers(1, 10), st.integers(1, 50_000)),
)
def test_the_nth_latest_is_that_of_all_there_are(
    expression: str, zone: str, since: datetime, length: timedelta, n: int
) -> None:
    timetable = Cron(expression, zone)
    until = since + length
    times = [*itertools.takewhile(lambda planned: planned < until, timetable.after(since))]
    for wanted in (n, len(times), len(times) + 1):
        expected = times[-wanted] if 0 < wanted <= len(times) else None
        if wanted:
            assert timetable.nth_latest(wanted, since, until) == expected


@settings(max_examples=examples(300), deadline=None)
@given(
    every=st.timedeltas(timedelta(seconds=1), timedelta(hours=3)),
    start=moments,
    since=moments,
    length=st.timedeltas(timedelta(), timedelta(hours=5)),
    n=st.integers(1, 500),
)
def test_the_nth_latest_of_an_interval_too(
    every: timedelta, start: datetime, since: datetime, length: timedelta, n: int
) -> None:
    timetable = Interval(every, start)
    until = since + length
    times = [*itertools.takewhile(lambda planned: planned < until, timetable.after(since))]
    expected = times[-n] if n <= len(times) else None
    assert timetable.nth_latest(n, since, until) == expected
