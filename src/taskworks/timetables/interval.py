"""``Interval``: a timetable whose planned times are equally far apart."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from taskworks.timetables.timetable import SECOND, InvalidTimetable


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
