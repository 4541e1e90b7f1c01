"""
Timetables: cron expressions and intervals, as values. All moments are aware.

cronsim parses expressions and knows the calendar. Which moments the local times of an expression
are, when clocks are put forward or back, is decided here:

- An expression whose hour field names every hour (``*``) runs in every real hour.
- Any other expression names local times. One that is skipped runs once, at the first valid instant
  after the gap; one that is repeated runs once, the first time.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import takewhile
from typing import Protocol
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from cronsim.explain import Expression

from taskworks.conf import nearest

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
# The fields of an expression, in its order, under cronsim's names.
FIELDS = ("minute", "hour", "day-of-month", "month", "day-of-week", "second")
VALUES = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day-of-month": "1 to 31, or L for the last",
    "month": "1 to 12, or JAN to DEC",
    "day-of-week": "0 to 7, or SUN to SAT",
    "second": "0 to 59",
}
COUNTS = {
    "minute": 60,
    "hour": 24,
    "day-of-month": 31,
    "month": 12,
    "day-of-week": 7,
    "second": 60,
}
EVERY_HOUR = frozenset(range(24))
SOME_DAY = datetime(2024, 1, 1)  # noqa: DTZ001 - a local time
TICK = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


class InvalidTimetable(ValueError):  # noqa: N818 - like the other names of refusals
    """A cron expression, an interval or a time zone is not valid; the text names it, and why."""


class Timetable(Protocol):
    """Planned times in ascending order; they may end."""

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the planned times after this moment."""

    def nth_latest(self, n: int, since: datetime, until: datetime) -> datetime | None:
        """Return the nth latest time after ``since`` and before ``until``, None if it has fewer."""

    def in_words(self) -> str:
        """Return it as a sentence."""


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of this name; raise InvalidTimetable if there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError):
        raise InvalidTimetable(f"{name!r} is not a time zone.{_nearest_zone(str(name))}") from None


@dataclass(frozen=True, slots=True)
class Interval:
    """
    Planned times ``every`` real time apart, counted from ``start``, which is not one of them. Raise
    InvalidTimetable for less than a second.
    """

    every: timedelta
    start: datetime

    def __post_init__(self) -> None:
        if not isinstance(self.every, timedelta) or self.every < SECOND:
            raise InvalidTimetable(f"An interval must be at least one second, not {self.every!r}.")

    def after(self, moment: datetime) -> Iterator[datetime]:
        """See Timetable."""
        turns = max(0, (moment - self.start) // self.every)
        while True:
            turns += 1
            try:
                planned = self.start + turns * self.every
            except OverflowError:
                return
            yield planned.astimezone(UTC)

    def nth_latest(self, n: int, since: datetime, until: datetime) -> datetime | None:
        """See Timetable."""
        first = max(0, (since - self.start) // self.every) + 1
        after_last = -((self.start - until) // self.every)
        turns = after_last - n
        return (self.start + turns * self.every).astimezone(UTC) if turns >= first else None

    def in_words(self) -> str:
        """See Timetable."""
        return f"Every {_duration(self.every)}"


@dataclass(frozen=True, slots=True)
class Cron:
    """
    A cron expression in a time zone: minute, hour, day of month, month, day of week, and
    optionally the second. Raise InvalidTimetable if it is not valid, or never comes.
    """

    expression: str
    timezone: str = "UTC"
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)
    _cronsim: str = field(init=False, repr=False, compare=False)
    _is_every_hour: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.expression, str):
            raise InvalidTimetable(f"A cron expression must be a string, not {self.expression!r}.")
        parsed, is_every_hour = _parsed(self.expression)
        object.__setattr__(self, "_zone", zone_of(self.timezone))
        object.__setattr__(self, "_cronsim", parsed)
        object.__setattr__(self, "_is_every_hour", is_every_hour)

    def after(self, moment: datetime) -> Iterator[datetime]:
        """See Timetable."""
        times = self._real_times if self._is_every_hour else self._local_times
        last = moment
        try:
            for planned in times(moment.astimezone(UTC)):
                if planned > last:
                    last = planned
                    yield planned
        except OverflowError:  # the end of the calendar
            return

    def nth_latest(self, n: int, since: datetime, until: datetime) -> datetime | None:
        """See Timetable. Minutes are counted, not their seconds: a month has 2.6 million."""
        left = n
        for minute in self._minutes_before(until, since, n):
            found = self._count_in(minute, since, until)
            if found >= left:
                return self._times_in(minute, since, until)[-left]
            left -= found
        return None

    def in_words(self) -> str:
        """See Timetable."""
        return Expression(self._cronsim.split()).explain()

    def _local_times(self, moment: datetime) -> Iterator[datetime]:
        """Yield one instant for each local time: the first, or the end of the gap it is in."""
        for local in CronSim(self._cronsim, _naive(moment) + self._offset(moment)):
            first = local.replace(tzinfo=self._zone)
            planned = first.astimezone(UTC)
            if _naive(planned) + self._offset(planned) == local:
                yield planned
            else:
                yield self._change_between(first.replace(fold=1).astimezone(UTC), planned)

    def _real_times(self, moment: datetime) -> Iterator[datetime]:
        """Yield each instant whose local time matches, one UTC offset after the other."""
        offset = self._offset(moment)
        last = _naive(moment) + offset
        while True:
            for local in CronSim(self._cronsim, last):
                planned = _aware(local - offset)
                if self._offset(planned) != offset:
                    break
                yield planned
                last = local
            else:
                return
            change = self._change_between(_aware(last - offset), planned)
            before, offset = offset, self._offset(change)
            end_of_gap = _naive(change) + offset
            # A gap of a whole hour leaves no hour out; one of half an hour would.
            if local < end_of_gap and (offset - before) % HOUR:
                yield change
            last = end_of_gap - SECOND

    def _minutes_before(self, until: datetime, since: datetime, n: int) -> Iterator[datetime]:
        """Yield the minutes that have a time, the latest first, back to ``since``."""
        minutes = Cron(" ".join(self._cronsim.split()[1:]), self.timezone)
        window = (n // self._times_a_minute + 1) * MINUTE
        begin, oldest = until.astimezone(UTC), _start_of_minute(since)
        while begin > oldest:
            end, begin = begin, _start_of_minute(begin - min(window, begin - oldest))
            yield from reversed(_between(minutes, begin, end))
            window *= 4

    def _count_in(self, minute: datetime, since: datetime, until: datetime) -> int:
        is_whole = since < minute and minute + MINUTE <= until
        # The minute to which clocks are put forward may have only a time that was skipped.
        if is_whole and self._offset(minute - SECOND) == self._offset(minute):
            return self._times_a_minute
        return len(self._times_in(minute, since, until))

    def _times_in(self, minute: datetime, since: datetime, until: datetime) -> list[datetime]:
        return _between(self, max(minute, since + TICK), min(minute + MINUTE, until))

    @property
    def _times_a_minute(self) -> int:
        seconds = self._cronsim.partition(" ")[0]
        return len(CronSim(f"{seconds} * * * * *", SOME_DAY).seconds)

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self._zone).utcoffset() or timedelta()

    def _change_between(self, before: datetime, after: datetime) -> datetime:
        """Return the first second of the UTC offset that holds at ``after``."""
        offset = self._offset(before)
        while after - before > SECOND:
            middle = before + (after - before) // 2 // SECOND * SECOND
            if self._offset(middle) == offset:
                before = middle
            else:
                after = middle
        return after


@lru_cache(maxsize=1000)
def _parsed(expression: str) -> tuple[str, bool]:
    """Return it as cronsim writes it, the second first, and whether it runs in every hour."""
    parts = _fields(expression)
    for name, part in zip(FIELDS, parts, strict=True):
        _validate(expression, name, part)
    *others, second = parts
    hours = CronSim(f"0 {parts[1]} * * *", SOME_DAY).hours
    parsed = " ".join([second, *others])
    _validate_that_it_comes(expression, parsed, parts[2])
    return parsed, hours >= EVERY_HOUR


def _fields(expression: str) -> list[str]:
    given = expression.strip()
    if given.startswith("@"):
        given = _of_alias(given)
    # Sunday at the end of a range is the 7th day.
    parts = given.upper().replace("-SUN", "-7").split()
    if len(parts) not in (5, 6):
        raise InvalidTimetable(
            f"{expression!r} is not a cron expression: it has {len(parts)} fields, and needs 5 "
            "(minute, hour, day of month, month, day of week), or 6 with the second last."
        )
    return parts if len(parts) == 6 else [*parts, "0"]


def _of_alias(alias: str) -> str:
    try:
        return ALIASES[alias.lower()]
    except KeyError:
        raise InvalidTimetable(
            f"{alias!r} is not a cron expression.{nearest(alias, list(ALIASES))}"
        ) from None


def _validate(expression: str, name: str, part: str) -> None:
    tried = ["0", "*", "*", "*", "*", "*"]  # in cronsim's order
    tried[0 if name == "second" else FIELDS.index(name) + 1] = part
    try:
        CronSim(" ".join(tried), SOME_DAY)
    except (CronSimError, ValueError, IndexError):
        raise InvalidTimetable(
            f"{expression!r} is not a cron expression: {part!r} is not a valid {name}. Give "
            f"{VALUES[name]}, with *, lists, ranges and steps."
        ) from None
    _validate_steps(expression, name, part)


def _validate_steps(expression: str, name: str, part: str) -> None:
    # cronsim begins each hour, day or year anew, so such a step would do nothing.
    for step in re.findall(r"/([0-9]+)", part):
        if int(step) > COUNTS[name]:
            raise InvalidTimetable(
                f"{expression!r} is not a cron expression: the step {step} of {part!r} exceeds "
                f"the {name}'s {COUNTS[name]} values. For an interval of any length use @every, "
                "such as @every(minutes=90)."
            )


def _validate_that_it_comes(expression: str, parsed: str, days: str) -> None:
    try:
        first = next(CronSim(parsed, SOME_DAY), None)
    except CronSimError:
        first = None
    if first is None:
        raise InvalidTimetable(
            f"{expression!r} never comes: none of its months has the day-of-month {days!r}."
        )


def _nearest_zone(name: str) -> str:
    close = nearest(name, sorted(available_timezones()))
    return close if close.startswith(" Did") else ' Write it like "Europe/Berlin".'


def _between(timetable: Timetable, begin: datetime, end: datetime) -> list[datetime]:
    """Return its times from ``begin`` on and before ``end``."""
    return [*takewhile(lambda planned: planned < end, timetable.after(begin - TICK))]


def _start_of_minute(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def _naive(moment: datetime) -> datetime:
    """Return the moment in UTC, to the second, as a naive datetime."""
    return moment.astimezone(UTC).replace(tzinfo=None, microsecond=0)


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


def _duration(every: timedelta) -> str:
    """Return it as "1 day, 2 hours, 5 seconds"."""
    seconds = every.total_seconds()
    words = []
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        count, seconds = divmod(seconds, size)
        words += [_counted(count, unit)] if count else []
    words += [_counted(seconds, "second")] if seconds or not words else []
    return words[0].removeprefix("1 ") if len(words) == 1 else ", ".join(words)


def _counted(count: float, unit: str) -> str:
    return f"{count:g} {unit}" if count == 1 else f"{count:g} {unit}s"
