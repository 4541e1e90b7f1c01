"""
``Cron``: a cron expression as a timetable. All moments are aware.

cronsim knows the calendar. Which moments the local times of an expression are, when clocks are put
forward or back, is decided here:

- An expression whose hour field names every hour (``*``) runs in every real hour.
- Any other expression names local times. One that is skipped runs once, at the first valid instant
  after the gap; one that is repeated runs once, the first time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim
from cronsim.explain import Expression

from taskworks.timetables.cron_expression import SOME_DAY, parsed
from taskworks.timetables.timetable import (
    SECOND,
    TICK,
    InvalidTimetable,
    times_between,
    zone_of,
)

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


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
        second_first, is_every_hour = parsed(self.expression)
        object.__setattr__(self, "_zone", zone_of(self.timezone))
        object.__setattr__(self, "_cronsim", second_first)
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
            yield from reversed(times_between(minutes, begin, end))
            window *= 4

    def _count_in(self, minute: datetime, since: datetime, until: datetime) -> int:
        is_whole = since < minute and minute + MINUTE <= until
        # The minute to which clocks are put forward may have only a time that was skipped.
        if is_whole and self._offset(minute - SECOND) == self._offset(minute):
            return self._times_a_minute
        return len(self._times_in(minute, since, until))

    def _times_in(self, minute: datetime, since: datetime, until: datetime) -> list[datetime]:
        return times_between(self, max(minute, since + TICK), min(minute + MINUTE, until))

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


def _start_of_minute(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def _naive(moment: datetime) -> datetime:
    """Return the moment in UTC, to the second, as a naive datetime."""
    return moment.astimezone(UTC).replace(tzinfo=None, microsecond=0)


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)
