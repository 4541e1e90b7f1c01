"""``Timetable``: planned times, whatever they are made of. All moments are aware."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Protocol
from zoneinfo import ZoneInfo, available_timezones

from taskworks.conf import nearest

TICK = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)


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


def times_between(timetable: Timetable, begin: datetime, end: datetime) -> list[datetime]:
    """Return its times from ``begin`` on and before ``end``."""
    return [*takewhile(lambda planned: planned < end, timetable.after(begin - TICK))]


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of this name; raise InvalidTimetable if there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError):
        raise InvalidTimetable(f"{name!r} is not a time zone.{_nearest_zone(str(name))}") from None


def _nearest_zone(name: str) -> str:
    close = nearest(name, sorted(available_timezones()))
    return close if close.startswith(" Did") else ' Write it like "Europe/Berlin".'
